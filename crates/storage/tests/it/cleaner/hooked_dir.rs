//! A directory that runs something of the test's choice before every read of one partition's files.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};

use lastword_storage::dir::{Dir, DirEntry, File, SimDir};

type Hook = Arc<dyn Fn(usize) + Send + Sync>;

/// What runs, if anything does. It may replace itself, and may read from the directory.
#[derive(Clone, Default)]
pub struct ReadHook(Arc<Mutex<Option<Hook>>>);

impl ReadHook {
    pub fn set(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.set_for_bytes(move |_| hook());
    }

    /// The hook hears how many bytes will be read.
    pub fn set_for_bytes(&self, hook: impl Fn(usize) + Send + Sync + 'static) {
        *self.0.lock().unwrap() = Some(Arc::new(hook));
    }

    pub fn clear(&self) {
        *self.0.lock().unwrap() = None;
    }

    fn run(&self, bytes: usize) {
        let hook = self.0.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook(bytes);
        }
    }
}

pub struct HookedDir<D = SimDir> {
    pub inner: D,
    /// The partitions' directories, with the hook of each.
    pub hooks: Vec<(&'static str, ReadHook)>,
}

struct HookedFile {
    inner: Arc<dyn File>,
    hook: ReadHook,
}

impl<D> HookedDir<D> {
    fn wrap(&self, path: &str, file: Arc<dyn File>) -> Arc<dyn File> {
        let hook = self.hooks.iter().find(|(dir, _)| path.starts_with(dir));
        match hook {
            None => file,
            Some((_, hook)) => Arc::new(HookedFile {
                inner: file,
                hook: hook.clone(),
            }),
        }
    }
}

impl<D: Dir> Dir for HookedDir<D> {
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(path, self.inner.create(path)?))
    }
    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(path, self.inner.open(path)?))
    }
    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.inner.create_dir(path)
    }
    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.inner.remove_dir(path)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.inner.remove(path)
    }
    fn list(&self, path: &str) -> io::Result<Vec<DirEntry>> {
        self.inner.list(path)
    }
    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.inner.sync_dir(path)
    }
    fn sync_file_system(&self) -> io::Result<()> {
        self.inner.sync_file_system()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.inner.free_bytes()
    }
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        self.inner.lock()
    }
}

impl File for HookedFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.hook.run(buf.len());
        self.inner.read_at(buf, position)
    }
    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.inner.write_all_at(buf, position)
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.truncate(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }
    fn modified_ms(&self) -> io::Result<i64> {
        self.inner.modified_ms()
    }
    fn set_modified_ms(&self, ms: i64) -> io::Result<()> {
        self.inner.set_modified_ms(ms)
    }
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn drop_cache(&self, position: u64, len: u64) {
        self.inner.drop_cache(position, len);
    }
}
