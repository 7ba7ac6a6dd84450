"""The cases, one module per client or promise. Importing a module registers its cases."""
