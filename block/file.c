/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files, host block devices and the discs of host CD drives. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/cdrom.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/drivers.h"
#include "block/rw.h"

/* Up to this size the machine thread copies cached data itself: a thread's wake-up costs more. */
#define TRY_LIMIT (128u * 1024)

struct file {
    struct node node;
    int fd;                    /* holds the lock of the image; closing it gives the lock back */
    int plain_fd;              /* cache.direct: for what is not aligned; else the same */
    bool device;               /* a block device */
    bool locking, threads;     /* aio=threads */
    uint32_t alignment;        /* cache.direct: of offsets, lengths and buffers */
    atomic_bool nowait_writes; /* cleared when the host's file system refuses them */
    atomic_bool dirty;         /* written since the last flush */
    pthread_mutex_t flush_lock;
};

/* ---- opening ---- */

/*
 * A writer locks the whole file, a reader only the first byte: two readers agree, a writer agrees with
 * nobody, and a writer also sees the locks that other programs (qemu-img) put on bytes of their own. Returns
 * 0 or an errno; file systems that know no locks are no reason to refuse an image.
 */
static int file_lock(int fd, bool read_only)
{
    struct flock lock = {
        .l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET, .l_len = read_only ? 1 : 0};

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? EAGAIN : 0;
}

/* Does one of a process' descriptors hold a lock of the file? */
static bool holds_lock(const char *pid, const struct stat *image)
{
    char path[300], line[256];
    struct dirent *entry;
    bool holds = false;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    dir = opendir(path);
    while (dir && !holds && (entry = readdir(dir))) {
        struct stat st;
        FILE *info;

        if (fstatat(dirfd(dir), entry->d_name, &st, 0) < 0 || st.st_dev != image->st_dev ||
            st.st_ino != image->st_ino)
            continue;
        snprintf(path, sizeof(path), "/proc/%s/fdinfo/%.20s", pid, entry->d_name);
        info = fopen(path, "re");
        while (info && fgets(line, sizeof(line), info))
            holds = holds || !strncmp(line, "lock:", 5);
        if (info)
            fclose(info);
    }
    if (dir)
        closedir(dir);
    return holds;
}

/* " by PID 17 (qemu-img)", as far as this user may know. */
static void lock_holder(int fd, char *text, size_t size)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    struct stat image;
    char path[300], name[20] = "";

    *text = 0;
    while (proc && !*text && fstat(fd, &image) == 0 && (entry = readdir(proc))) {
        FILE *comm;

        if (*entry->d_name < '1' || *entry->d_name > '9' || !holds_lock(entry->d_name, &image))
            continue;
        snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
        comm = fopen(path, "re");
        if (comm && fgets(name, sizeof(name), comm))
            name[strcspn(name, "\n")] = 0;
        if (comm)
            fclose(comm);
        snprintf(text, size, " by PID %.10s (%s)", entry->d_name, name);
    }
    if (proc)
        closedir(proc);
}

static bool file_take_lock(struct file *f, struct error *err)
{
    bool read_only = f->node.read_only;
    char holder[64];

    if (!f->locking || !file_lock(f->fd, read_only))
        return true;
    lock_holder(f->fd, holder, sizeof(holder));
    return error_set(err, "image '%s' is in use%s: another program has it open%s", f->node.filename, holder,
                     read_only ? " for writing" : "; a shared image must be opened read-only");
}

static bool file_lock_node(struct node *node, struct error *err)
{
    return file_take_lock((struct file *)node, err);
}

static void file_unlock_node(struct node *node)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    fcntl(((struct file *)node)->fd, F_OFD_SETLK, &lock);
}

/* Size and kind of what fd is; false with *err. */
static bool file_inspect(struct file *f, struct error *err)
{
    const char *name = f->node.filename;
    struct stat st;
    uint64_t size;

    if (fstat(f->fd, &st) < 0)
        return error_set(err, "cannot use image '%s': %s", name, strerror(errno));
    if (S_ISREG(st.st_mode)) {
        size = st.st_size;
    } else if (S_ISBLK(st.st_mode)) {
        int status = ioctl(f->fd, CDROM_DRIVE_STATUS, CDSL_CURRENT);

        f->device = true;
        if (status == CDS_NO_DISC || status == CDS_TRAY_OPEN || status == CDS_DRIVE_NOT_READY)
            return error_set(err, "no disc in the host's drive '%s'", name);
        if (ioctl(f->fd, BLKGETSIZE64, &size) < 0)
            return error_set(err, "cannot tell the size of '%s': %s", name, strerror(errno));
    } else {
        return error_set(err, "cannot use '%s' as an image: it is neither a file nor a block device", name);
    }
    if (size > INT64_MAX - 511)
        return error_set(err, "image '%s' is too large", name);
    /* A file that ends within a sector ends with zeroes. */
    f->node.size = (size + 511) / 512 * 512;
    f->node.can_grow = !f->device;
    return true;
}

static int file_flags(const struct node *node)
{
    /* O_NONBLOCK: opening an empty CD drive or a FIFO does not hang; files and disks ignore it. */
    return (node->read_only ? O_RDONLY : O_RDWR) | (node->direct ? O_DIRECT : 0) | O_CLOEXEC | O_NONBLOCK;
}

static bool file_open_path(struct file *f, struct error *err)
{
    struct node *node = &f->node;

    f->fd = open(node->filename, file_flags(node));
    if (f->fd < 0 && !node->read_only && node->implicit_read_only && (errno == EACCES || errno == EROFS)) {
        node->read_only = true;
        f->fd = open(node->filename, file_flags(node));
    }
    if (f->fd >= 0)
        return true;
    if (node->direct && errno == EINVAL)
        return error_set(err, "image '%s': its file system has no O_DIRECT, which cache=none wants",
                         node->filename);
    return error_set(
        err, "cannot open image '%s'%s: %s", node->filename,
        !node->read_only && (errno == EACCES || errno == EROFS || errno == EPERM) ? " for writing" : "",
        strerror(errno));
}

/* A descriptor that somebody passed, duplicated: it keeps the mode that it was opened with. */
static bool file_open_descriptor(struct file *f, int fd, struct error *err)
{
    int flags = fcntl(fd, F_GETFL);
    bool read_only = f->node.read_only;

    if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY || ((flags & O_ACCMODE) == O_RDONLY && !read_only))
        return error_set(err, "image '%s': the descriptor that was passed is not open for %s",
                         f->node.filename, read_only ? "reading" : "reading and writing");
    f->node.direct = flags & O_DIRECT;
    f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return f->fd >= 0 || error_set(err, "image '%s': %s", f->node.filename, strerror(errno));
}

/* What is not aligned goes through the page cache, by a descriptor of its own. */
static bool file_open_plain(struct file *f, struct error *err)
{
    char path[32];

    f->plain_fd = f->fd;
    if (!f->node.direct)
        return true;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
    f->plain_fd = open(path, (file_flags(&f->node) & ~O_DIRECT));
    return f->plain_fd >= 0 || error_set(err, "cannot open image '%s' once more for what is not aligned: %s",
                                         f->node.filename, strerror(errno));
}

static uint32_t file_alignment(int fd)
{
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 && (st.stx_mask & STATX_DIOALIGN) &&
        st.stx_dio_offset_align)
        return st.stx_dio_offset_align > st.stx_dio_mem_align ? st.stx_dio_offset_align
                                                              : st.stx_dio_mem_align;
    return 4096;
}

static void file_close(struct node *node)
{
    struct file *f = (struct file *)node;

    struct flock none = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    /* The kernel's ring may keep the file for a moment longer. */
    if (f->locking && f->fd >= 0)
        fcntl(f->fd, F_OFD_SETLK, &none);
    if (f->plain_fd >= 0 && f->plain_fd != f->fd)
        close(f->plain_fd);
    if (f->fd >= 0)
        close(f->fd);
    pthread_mutex_destroy(&f->flush_lock);
}

static bool file_take_options(struct file *f, const json_t *options, struct error *err)
{
    const char *locking = node_option_text(options, "locking"), *aio = node_option_text(options, "aio");
    const char *name = node_option_text(options, "filename");

    if (!name || !*name)
        return error_set(err, "filename= is missing");
    f->locking = !locking || strcmp(locking, "off");
    if (locking && f->locking && strcmp(locking, "on") && strcmp(locking, "auto"))
        return error_set(err, "locking takes on, off or auto, not '%.40s'", locking);
    if (aio && strcmp(aio, "threads") && strcmp(aio, "native") && strcmp(aio, "io_uring"))
        return error_set(err, "aio takes threads, native or io_uring, not '%.40s'", aio);
    f->threads = aio && !strcmp(aio, "threads");
    f->node.filename = strdup(name);
    return f->node.filename || error_set(err, "no memory for image '%s'", name);
}

static bool file_open(struct node *node, const json_t *options, struct error *err)
{
    struct file *f = (struct file *)node;
    const json_t *passed = json_object_get(options, "fd");

    f->fd = f->plain_fd = -1;
    pthread_mutex_init(&f->flush_lock, NULL);
    atomic_store(&f->nowait_writes, true);
    if (file_take_options(f, options, err) &&
        (passed ? file_open_descriptor(f, json_integer_value(passed), err) : file_open_path(f, err)) &&
        file_inspect(f, err) && file_open_plain(f, err) &&
        ((node->plain && node->graph->elsewhere) || file_take_lock(f, err))) {
        f->alignment = node->direct ? file_alignment(f->fd) : 1;
        return true;
    }
    file_close(node);
    return false;
}

/* ---- transfers ---- */

static bool file_aligned(const struct file *f, const struct iovec *iov, int iovcnt, uint64_t offset,
                         uint64_t length)
{
    uint64_t bits = offset | length;

    if (!f->node.direct)
        return true;
    for (int i = 0; i < iovcnt; i++)
        bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
    return bits % f->alignment == 0;
}

static int file_read(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset, uint64_t length)
{
    struct file *f = (struct file *)node;

    return rw_read(file_aligned(f, iov, iovcnt, offset, length) ? f->fd : f->plain_fd, iov, iovcnt, offset,
                   length);
}

static int file_write(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset,
                      uint64_t length)
{
    struct file *f = (struct file *)node;
    int error = rw_write(file_aligned(f, iov, iovcnt, offset, length) ? f->fd : f->plain_fd, iov, iovcnt,
                         offset, length);

    /* After the write: a flush beside it, which may miss its data, must not be the last that does anything.
     */
    atomic_store(&f->dirty, true);
    return error;
}

static bool cannot(int error)
{
    return error == EOPNOTSUPP || error == ENOTTY || error == ENOSYS || error == EINVAL;
}

/* Discarding is advice: a host that cannot do it is no error. */
static int file_discard(struct node *node, uint64_t offset, uint64_t length)
{
    struct file *f = (struct file *)node;
    uint64_t range[2] = {offset, length};
    int r;

    if (f->device)
        r = ioctl(f->fd, BLKDISCARD, range);
    else
        r = fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
    r = r < 0 ? errno : 0;
    atomic_store(&f->dirty, true);
    return cannot(r) ? 0 : r;
}

static int file_zero(struct node *node, uint64_t offset, uint64_t length, unsigned flags)
{
    struct file *f = (struct file *)node;
    uint64_t range[2] = {offset, length};
    int r;

    if (f->device)
        r = ioctl(f->fd, BLKZEROOUT, range);
    else if (flags & NODE_MAY_UNMAP && offset + length <= node_size(node))
        r = fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
    else
        r = fallocate(f->fd, FALLOC_FL_ZERO_RANGE, offset, length);
    r = r < 0 ? errno : 0;
    atomic_store(&f->dirty, true);
    return cannot(r) ? ENOTSUP : r;
}

/* One at a time: who finds nothing to do because another is at it must wait for that one's success. */
static int file_flush(struct node *node)
{
    struct file *f = (struct file *)node;
    int error = 0;

    if (node->no_flush)
        return 0;
    pthread_mutex_lock(&f->flush_lock);
    if (atomic_exchange(&f->dirty, false) && fdatasync(f->fd) < 0) {
        error = errno;
        atomic_store(&f->dirty, true);
    }
    pthread_mutex_unlock(&f->flush_lock);
    return error;
}

static int file_resize(struct node *node, uint64_t size)
{
    struct file *f = (struct file *)node;

    if (f->device)
        return size <= node->size ? 0 : ENOTSUP;
    if (ftruncate(f->fd, size) < 0)
        return errno;
    __atomic_store_n(&node->size, (size + 511) / 512 * 512, __ATOMIC_RELAXED);
    atomic_store(&f->dirty, true);
    return 0;
}

static void file_info(struct node *node, struct node_info *info)
{
    struct stat st;

    if (fstat(((struct file *)node)->fd, &st) == 0)
        info->allocated = S_ISBLK(st.st_mode) ? node->size : (uint64_t)st.st_blocks * 512;
}

/* Is there nothing to flush, and no flush under way? Does not wait. */
static bool file_is_clean(struct file *f)
{
    bool clean;

    if (f->node.no_flush)
        return true;
    if (pthread_mutex_trylock(&f->flush_lock))
        return false;
    clean = !atomic_load(&f->dirty);
    pthread_mutex_unlock(&f->flush_lock);
    return clean;
}

static bool file_attempt(struct node *node, enum node_attempt what, const struct iovec *iov, int iovcnt,
                         uint64_t offset, uint64_t length, int *error)
{
    struct file *f = (struct file *)node;
    ssize_t n;

    *error = 0;
    if (what == NODE_ATTEMPT_FLUSH)
        return file_is_clean(f);
    if (node->direct || length > TRY_LIMIT || iovcnt > IOV_MAX)
        return false;
    if (what == NODE_ATTEMPT_READ)
        return (n = preadv2(f->fd, iov, iovcnt, offset, RWF_NOWAIT)) >= 0 && (uint64_t)n == length;
    if (!atomic_load(&f->nowait_writes))
        return false;
    n = pwritev2(f->fd, iov, iovcnt, offset, RWF_NOWAIT);
    atomic_store(&f->dirty, true);
    if (n < 0 && errno == EOPNOTSUPP)
        atomic_store(&f->nowait_writes, false);
    return n >= 0 && (uint64_t)n == length;
}

static int file_straight(struct node *node, const struct iovec *iov, int iovcnt, uint64_t offset,
                         uint64_t length, uint64_t *at)
{
    struct file *f = (struct file *)node;

    *at = offset;
    return node->direct && !f->threads && file_aligned(f, iov, iovcnt, offset, length) ? f->fd : -1;
}

static void file_written(struct node *node)
{
    atomic_store(&((struct file *)node)->dirty, true);
}

static const char *const file_keys[] = {"filename", "locking", "aio", "fd", NULL};

#define FILE_DRIVER(name_, description_)                                                                     \
    {                                                                                                        \
        .name = name_, .description = description_, .size = sizeof(struct file), .keys = file_keys,          \
        .open = file_open, .close = file_close, .read = file_read, .write = file_write,                      \
        .discard = file_discard, .zero = file_zero, .flush = file_flush, .resize = file_resize,              \
        .info = file_info, .lock = file_lock_node, .unlock = file_unlock_node, .attempt = file_attempt,      \
        .straight = file_straight, .written = file_written                                                   \
    }

const struct node_driver file_driver = FILE_DRIVER("file", "a file of the host");
const struct node_driver host_device_driver = FILE_DRIVER("host_device", "a block device of the host");
const struct node_driver host_cdrom_driver = FILE_DRIVER("host_cdrom", "the disc of a CD drive of the host");
