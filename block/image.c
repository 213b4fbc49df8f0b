/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/cdrom.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/rw.h"

/* Up to this size the machine thread copies cached data itself: a thread's wake-up costs more. */
#define TRY_LIMIT (128u * 1024)

/*
 * A writer locks the whole file, a reader only the first byte: two readers agree, a writer agrees with
 * nobody, and a writer also sees the locks that other programs (qemu-img) put on bytes of their own. Returns
 * 0 or an errno; file systems that know no locks are no reason to refuse an image.
 */
static int lock_image(int fd, bool read_only)
{
    struct flock lock = {
        .l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET, .l_len = read_only ? 1 : 0};

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? EAGAIN : 0;
}

/* Size and kind of what fd is; false with *err. */
static bool inspect(struct image *image, struct error *err)
{
    struct stat st;
    uint64_t size;

    if (fstat(image->fd, &st) < 0)
        return error_set(err, "cannot use image '%s': %s", image->name, strerror(errno));
    if (S_ISREG(st.st_mode)) {
        size = st.st_size;
    } else if (S_ISBLK(st.st_mode)) {
        int status = ioctl(image->fd, CDROM_DRIVE_STATUS, CDSL_CURRENT);

        image->device = true;
        if (status == CDS_NO_DISC || status == CDS_TRAY_OPEN || status == CDS_DRIVE_NOT_READY)
            return error_set(err, "no disc in the host's drive '%s'", image->name);
        if (ioctl(image->fd, BLKGETSIZE64, &size) < 0)
            return error_set(err, "cannot tell the size of '%s': %s", image->name, strerror(errno));
    } else {
        return error_set(err, "cannot use '%s' as an image: it is neither a file nor a block device",
                         image->name);
    }
    if (size > INT64_MAX - 511)
        return error_set(err, "image '%s' is too large", image->name);
    image->size = (size + 511) / 512 * 512;
    return true;
}

/*
 * An image of another format, given without a word about its format, is a mistake of the user's: its guest
 * would see the container instead of the disk.
 */
static bool looks_raw(const struct image *image, struct error *err)
{
    static const struct {
        const char *magic;
        size_t length;
        const char *format;
    } others[] = {{"QFI\xfb", 4, "qcow2"}, {"KDMV", 4, "vmdk"}, {"QED", 4, "qed"}, {"conectix", 8, "vpc"}};
    char head[8] = "";

    if (pread(image->fd, head, sizeof(head), 0) != sizeof(head))
        return true;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (memcmp(head, others[i].magic, others[i].length) == 0)
            return error_set(
                err,
                "image '%s' has the format %s, and only raw is supported; -drive with format=raw takes "
                "its bytes as they are",
                image->name, others[i].format);
    return true;
}

/* Takes fd over. */
static struct image *image_new(int fd, const char *name, const struct block_options *options,
                               struct error *err)
{
    struct image *image = calloc(1, sizeof(*image));
    bool base_read_only = options->read_only || options->snapshot;

    if (!image || !(image->name = strdup(name))) {
        error_set(err, "no memory for image '%s'", name);
        free(image);
        close(fd);
        return NULL;
    }
    image->fd = fd;
    image->read_only = options->read_only;
    pthread_mutex_init(&image->flush_lock, NULL);
    image->nowait_writes = !options->write_through;
    image->keep_allocated = options->keep_allocated;
    image->write_through = options->write_through;
    image->no_flush = options->no_flush;
    if (!inspect(image, err) || (!options->format && !looks_raw(image, err)))
        goto fail;
    if (lock_image(fd, base_read_only)) {
        error_set(err, "image '%s' is in use: another program has it open%s", name,
                  base_read_only ? " for writing" : "; a shared image must be opened read-only");
        goto fail;
    }
    if (options->snapshot && !options->read_only && !(image->snapshot = snapshot_new(fd, image->size, err)))
        goto fail;
    return image;
fail:
    image_close(image);
    return NULL;
}

static bool known_format(const struct block_options *options, const char *name, struct error *err)
{
    if (!options->format || strcmp(options->format, "raw") == 0 ||
        strcmp(options->format, "host_device") == 0)
        return true;
    return error_set(err, "image '%s': unknown format '%s', known: raw", name, options->format);
}

struct image *image_open(const struct block_options *options, struct error *err)
{
    bool read_only = options->read_only || options->snapshot;
    int fd;

    if (!known_format(options, options->file, err))
        return NULL;
    /* O_NONBLOCK: opening an empty CD drive or a FIFO does not hang; files and disks ignore it. */
    fd = open(options->file, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && !read_only && (errno == EACCES || errno == EROFS || errno == EPERM)) {
        error_set(err, "cannot open image '%s' for writing: %s", options->file, strerror(errno));
        return NULL;
    }
    if (fd < 0) {
        error_set(err, "cannot open image '%s': %s", options->file, strerror(errno));
        return NULL;
    }
    return image_new(fd, options->file, options, err);
}

struct image *image_open_fd(int fd, const char *name, const struct block_options *options, struct error *err)
{
    int flags = fcntl(fd, F_GETFL), copy;

    if (!known_format(options, name, err))
        return NULL;
    if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY ||
        ((flags & O_ACCMODE) == O_RDONLY && !options->read_only && !options->snapshot)) {
        error_set(err, "image '%s': the descriptor that was passed is not open for %s", name,
                  options->read_only ? "reading" : "reading and writing");
        return NULL;
    }
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        error_set(err, "image '%s': %s", name, strerror(errno));
        return NULL;
    }
    return image_new(copy, name, options, err);
}

void image_close(struct image *image)
{
    if (!image)
        return;
    snapshot_free(image->snapshot);
    close(image->fd);
    pthread_mutex_destroy(&image->flush_lock);
    free(image->name);
    free(image);
}

/* Discarding is advice: a host that cannot do it is no error. */
static int discard(struct image *image, uint64_t offset, uint64_t length)
{
    uint64_t range[2] = {offset, length};
    int r;

    if (!length || image->snapshot || image->keep_allocated)
        return 0;
    if (image->device)
        r = ioctl(image->fd, BLKDISCARD, range);
    else
        r = fallocate(image->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
    if (r == 0 || errno == EOPNOTSUPP || errno == ENOTTY || errno == ENOSYS || errno == EINVAL)
        return 0;
    return errno;
}

/* One at a time: who finds nothing to do because another is at it must wait for that one's success. */
static int image_flush(struct image *image)
{
    int error = 0;

    if (image->snapshot || image->no_flush)
        return 0;
    pthread_mutex_lock(&image->flush_lock);
    if (atomic_exchange(&image->dirty, false) && fdatasync(image->fd) < 0) {
        error = errno;
        atomic_store(&image->dirty, true);
    }
    pthread_mutex_unlock(&image->flush_lock);
    return error;
}

/* Is there nothing to flush, and no flush under way? Does not wait. */
static bool is_clean(struct image *image)
{
    bool clean;

    if (image->snapshot || image->no_flush)
        return true;
    if (pthread_mutex_trylock(&image->flush_lock))
        return false;
    clean = !atomic_load(&image->dirty);
    pthread_mutex_unlock(&image->flush_lock);
    return clean;
}

static int write_out(struct image *image, const struct block_request *r)
{
    int error;

    if (image->snapshot)
        return snapshot_write(image->snapshot, r->offset, r->length, r->iov, r->iovcnt);
    error = rw_write(image->fd, r->iov, r->iovcnt, r->offset, r->length);
    /* After the write: a flush beside it, which may miss its data, must not be the last that does anything.
     */
    atomic_store(&image->dirty, true);
    return error || !image->write_through ? error : image_flush(image);
}

int image_perform(struct image *image, struct block_request *r)
{
    int error;

    switch (r->op) {
    case BLOCK_READ:
        if (image->snapshot)
            return snapshot_read(image->snapshot, r->offset, r->length, r->iov, r->iovcnt);
        return rw_read(image->fd, r->iov, r->iovcnt, r->offset, r->length);
    case BLOCK_WRITE:
        return write_out(image, r);
    case BLOCK_DISCARD:
        error = discard(image, r->offset, r->length);
        atomic_store(&image->dirty, true);
        return error;
    case BLOCK_FLUSH:
        return image_flush(image);
    }
    return EINVAL;
}

static bool try_transfer(struct image *image, struct block_request *r, int *error)
{
    ssize_t n;

    if (image->snapshot || r->length > TRY_LIMIT || r->iovcnt > IOV_MAX)
        return false;
    if (r->op == BLOCK_READ) {
        n = preadv2(image->fd, r->iov, r->iovcnt, r->offset, RWF_NOWAIT);
    } else {
        if (!image->nowait_writes)
            return false;
        n = pwritev2(image->fd, r->iov, r->iovcnt, r->offset, RWF_NOWAIT);
        atomic_store(&image->dirty, true);
        if (n < 0 && errno == EOPNOTSUPP)
            image->nowait_writes = false;
    }
    *error = 0;
    return n >= 0 && (uint64_t)n == r->length;
}

bool image_try(struct image *image, struct block_request *r, int *error)
{
    switch (r->op) {
    case BLOCK_READ:
    case BLOCK_WRITE:
        return try_transfer(image, r, error);
    case BLOCK_FLUSH:
        *error = 0;
        return is_clean(image);
    case BLOCK_DISCARD:
        return false;
    }
    return false;
}
