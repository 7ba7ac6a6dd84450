package lastword.compat;
public final class Driver { public static void main(String[] a) {} }
