/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for libxendevicemodel, libxenforeignmemory, libxenevtchn, libxengnttab, libxenctrl, libxenstore
 * and libxentoolcore, as far as hvm-dm calls them: preloaded, it lets a test play Xen (see fakexen.h). Calls
 * are recorded in the order in which they come; none fails but where the real one would.
 */
#include "tests/fakexen/fakexen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xenstore.h>
#include <xentoolcore.h>

/* EVENTS and WATCHES are pairs of which this process reads one end; to raise a port and to fire a watch it
 * needs the other as well. */
static int state_fd, ram_fd, event_fd, raise_fd, watch_read_fd, watch_write_fd;
static struct fakexen *fx;
static char handle; /* what every open returns the address of */

static void __attribute__((constructor)) attach(void)
{
    const char *fds = getenv("FAKEXEN");

    if (!fds || sscanf(fds, "%d,%d,%d,%d,%d,%d", &state_fd, &ram_fd, &event_fd, &raise_fd, &watch_read_fd,
                       &watch_write_fd) != 6) {
        fprintf(stderr, "fakexen: FAKEXEN must name six file descriptors\n");
        _exit(127);
    }
    fx = mmap(NULL, sizeof(*fx), PROT_READ | PROT_WRITE, MAP_SHARED, state_fd, 0);
    if (fx == MAP_FAILED) {
        perror("fakexen: the shared state");
        _exit(127);
    }
}

static int record(enum fakexen_op op, uint64_t a, uint64_t b, uint64_t c)
{
    uint32_t n = atomic_load(&fx->calls);

    if (n < FAKEXEN_CALLS) {
        fx->call[n] = (struct fakexen_call){op, a, b, c};
        atomic_store(&fx->calls, n + 1);
    }
    return 0;
}

/* ---- libxendevicemodel ---- */

xendevicemodel_handle *xendevicemodel_open(struct xentoollog_logger *logger, unsigned int open_flags)
{
    return (void *)&handle;
}

int xendevicemodel_close(xendevicemodel_handle *dmod)
{
    return 0;
}

int xendevicemodel_create_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, int handle_bufioreq,
                                       ioservid_t *id)
{
    *id = 0;
    return record(FX_CREATE, handle_bufioreq, 0, 0);
}

int xendevicemodel_destroy_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id)
{
    return record(FX_DESTROY, 0, 0, 0);
}

int xendevicemodel_get_ioreq_server_info(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
                                         xen_pfn_t *ioreq_gfn, xen_pfn_t *bufioreq_gfn,
                                         evtchn_port_t *bufioreq_port)
{
    if (bufioreq_port)
        *bufioreq_port = FAKEXEN_RING_PORT;
    if (ioreq_gfn)
        *ioreq_gfn = FAKEXEN_REQUEST_GFN;
    if (bufioreq_gfn)
        *bufioreq_gfn = FAKEXEN_RING_GFN;
    return 0;
}

/* As Xen does, the vCPUs' ports appear only when the server is enabled. */
int xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
                                          int enabled)
{
    for (uint32_t i = 0; enabled && i < fx->vcpus; i++)
        fx->requests[i].vp_eport = FAKEXEN_VCPU_PORT + i;
    return record(FX_STATE, enabled, 0, 0);
}

int xendevicemodel_map_io_range_to_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
                                                int is_mmio, uint64_t start, uint64_t end)
{
    return record(is_mmio ? FX_MAP_MEMORY : FX_MAP_PORT, start, end, 0);
}

int xendevicemodel_unmap_io_range_from_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
                                                    int is_mmio, uint64_t start, uint64_t end)
{
    return record(is_mmio ? FX_UNMAP_MEMORY : FX_UNMAP_PORT, start, end, 0);
}

int xendevicemodel_map_pcidev_to_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
                                              uint16_t segment, uint8_t bus, uint8_t device, uint8_t function)
{
    return record(FX_MAP_PCI, device << 3 | function, 0, 0);
}

int xendevicemodel_unmap_pcidev_from_ioreq_server(xendevicemodel_handle *dmod, domid_t domid, ioservid_t id,
                                                  uint16_t segment, uint8_t bus, uint8_t device,
                                                  uint8_t function)
{
    return record(FX_UNMAP_PCI, device << 3 | function, 0, 0);
}

int xendevicemodel_set_pci_intx_level(xendevicemodel_handle *dmod, domid_t domid, uint16_t segment,
                                      uint8_t bus, uint8_t device, uint8_t intx, unsigned int level)
{
    return record(FX_INTX, device, intx, level);
}

int xendevicemodel_set_isa_irq_level(xendevicemodel_handle *dmod, domid_t domid, uint8_t irq,
                                     unsigned int level)
{
    return record(FX_ISA, irq, level, 0);
}

int xendevicemodel_set_pci_link_route(xendevicemodel_handle *dmod, domid_t domid, uint8_t link, uint8_t irq)
{
    return record(FX_LINK, link, irq, 0);
}

int xendevicemodel_track_dirty_vram(xendevicemodel_handle *dmod, domid_t domid, uint64_t first_pfn,
                                    uint32_t nr, unsigned long *dirty_bitmap)
{
    if (dirty_bitmap) {
        memset(dirty_bitmap, 0, (nr + 7) / 8);
        dirty_bitmap[0] = atomic_exchange(&fx->screen_written, false);
    }
    return record(FX_TRACK, first_pfn, nr, 0);
}

int xendevicemodel_modified_memory(xendevicemodel_handle *dmod, domid_t domid, uint64_t first_pfn,
                                   uint32_t nr)
{
    return record(FX_MODIFIED, first_pfn, nr, 0);
}

int xendevicemodel_set_mem_type(xendevicemodel_handle *dmod, domid_t domid, hvmmem_type_t mem_type,
                                uint64_t first_pfn, uint32_t nr)
{
    return record(FX_MEM_TYPE, mem_type, first_pfn, nr);
}

int xendevicemodel_shutdown(xendevicemodel_handle *dmod, domid_t domid, unsigned int reason)
{
    return record(FX_SHUTDOWN, reason, 0, 0);
}

int xendevicemodel_relocate_memory(xendevicemodel_handle *dmod, domid_t domid, uint32_t size,
                                   uint64_t src_gfn, uint64_t dst_gfn)
{
    if (src_gfn == fx->populated)
        fx->populated = dst_gfn;
    return record(FX_RELOCATE, size, src_gfn, dst_gfn);
}

int xendevicemodel_pin_memory_cacheattr(xendevicemodel_handle *dmod, domid_t domid, uint64_t start,
                                        uint64_t end, uint32_t type)
{
    return record(FX_PIN, start, end, type);
}

int xendevicemodel_nr_vcpus(xendevicemodel_handle *dmod, domid_t domid, unsigned int *vcpus)
{
    *vcpus = fx->vcpus;
    return 0;
}

/* ---- libxenforeignmemory, libxengnttab ---- */

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger, unsigned open_flags)
{
    return (void *)&handle;
}

int xenforeignmemory_close(xenforeignmemory_handle *fmem)
{
    return 0;
}

static bool exists(uint64_t gfn)
{
    return gfn != fx->hole && gfn < FAKEXEN_RAM / FAKEXEN_PAGE &&
           (gfn < fx->ram_pages || gfn - fx->populated < fx->populated_pages);
}

void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot, size_t pages,
                           const xen_pfn_t arr[], int err[])
{
    return xenforeignmemory_map2(fmem, dom, NULL, prot, 0, pages, arr, err);
}

void *xenforeignmemory_map2(xenforeignmemory_handle *fmem, uint32_t dom, void *addr, int prot, int flags,
                            size_t pages, const xen_pfn_t arr[], int err[])
{
    uint8_t *host;

    if (pages == 1 && fx->old_kernel && (arr[0] == FAKEXEN_RING_GFN || arr[0] == FAKEXEN_REQUEST_GFN)) {
        record(FX_FOREIGN_MAP, arr[0], pages, 0);
        return mmap(NULL, FAKEXEN_PAGE, prot, MAP_SHARED, state_fd,
                    (arr[0] - FAKEXEN_RING_GFN) * FAKEXEN_PAGE);
    }
    host = mmap(addr, pages * FAKEXEN_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

    if (host == MAP_FAILED)
        return NULL;
    record(FX_FOREIGN_MAP, arr[0], pages, 0);
    for (size_t i = 0, n; i < pages; i += n) {
        for (n = 1; i + n < pages && arr[i + n] == arr[i] + n && exists(arr[i]) == exists(arr[i + n]); n++)
            ;
        for (size_t j = 0; err && j < n; j++)
            err[i + j] = exists(arr[i]) ? 0 : EINVAL;
        if (exists(arr[i]))
            mmap(host + i * FAKEXEN_PAGE, n * FAKEXEN_PAGE, prot, MAP_SHARED | MAP_FIXED, ram_fd,
                 arr[i] * FAKEXEN_PAGE);
        else if (!err) {
            munmap(host, pages * FAKEXEN_PAGE);
            errno = EINVAL;
            return NULL;
        }
    }
    return host;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages)
{
    record(FX_FOREIGN_UNMAP, pages, 0, 0);
    return munmap(addr, pages * FAKEXEN_PAGE);
}

xenforeignmemory_resource_handle *xenforeignmemory_map_resource(xenforeignmemory_handle *fmem, domid_t domid,
                                                                unsigned int type, unsigned int id,
                                                                unsigned long frame, unsigned long nr_frames,
                                                                void **paddr, int prot, int flags)
{
    if (fx->old_kernel) {
        errno = EOPNOTSUPP;
        return NULL;
    }
    *paddr = fx; /* the ring's page, then the requests' */
    return (void *)&handle;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *fmem, xenforeignmemory_resource_handle *fres)
{
    return 0;
}

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned open_flags)
{
    return (void *)&handle;
}

int xengnttab_close(xengnttab_handle *xgt)
{
    return 0;
}

/* A grant reference is the number of the page. */
void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
    void *host;

    if (!exists(ref)) {
        errno = EINVAL;
        return NULL;
    }
    host = mmap(NULL, FAKEXEN_PAGE, prot, MAP_SHARED, ram_fd, (off_t)ref * FAKEXEN_PAGE);
    record(FX_GRANT_MAP, ref, 0, 0);
    return host == MAP_FAILED ? NULL : host;
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid, uint32_t *refs,
                                      int prot)
{
    uint8_t *host;

    for (uint32_t i = 0; i < count; i++)
        if (!exists(refs[i])) {
            errno = EINVAL;
            return NULL;
        }
    host = mmap(NULL, count * FAKEXEN_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (uint32_t i = 0; i < count && host != MAP_FAILED; i++)
        mmap(host + i * FAKEXEN_PAGE, FAKEXEN_PAGE, prot, MAP_SHARED | MAP_FIXED, ram_fd,
             (off_t)refs[i] * FAKEXEN_PAGE);
    record(FX_GRANT_MAP, refs[0], count, 0);
    return host == MAP_FAILED ? NULL : host;
}

/* One side of a copy is the guest's, as the flags say. */
static int16_t copy_one(xengnttab_grant_copy_segment_t *segment)
{
    bool to_guest = segment->flags == GNTCOPY_dest_gref;
    union xengnttab_copy_ptr *theirs = to_guest ? &segment->dest : &segment->source,
                             *ours = to_guest ? &segment->source : &segment->dest;
    off_t at = (off_t)theirs->foreign.ref * FAKEXEN_PAGE + theirs->foreign.offset;

    if (!exists(theirs->foreign.ref))
        return GNTST_bad_gntref;
    if (theirs->foreign.offset + segment->len > FAKEXEN_PAGE)
        return GNTST_bad_copy_arg;
    if (to_guest)
        return pwrite(ram_fd, ours->virt, segment->len, at) == segment->len ? GNTST_okay
                                                                            : GNTST_general_error;
    return pread(ram_fd, ours->virt, segment->len, at) == segment->len ? GNTST_okay : GNTST_general_error;
}

int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count, xengnttab_grant_copy_segment_t *segs)
{
    for (uint32_t i = 0; i < count; i++)
        segs[i].status = copy_one(&segs[i]);
    return record(FX_GRANT_COPY, count, 0, 0);
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
    record(FX_GRANT_UNMAP, count, 0, 0);
    return munmap(start_address, count * FAKEXEN_PAGE);
}

/* ---- libxenevtchn ---- */

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
    return (void *)&handle;
}

int xenevtchn_close(xenevtchn_handle *xce)
{
    return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
    return event_fd;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    return send(event_fd, &port, sizeof(port), MSG_NOSIGNAL) == sizeof(port) ? 0 : -1;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
                                                     evtchn_port_t remote_port)
{
    if (!remote_port) {
        errno = EINVAL;
        return -1;
    }
    record(FX_BIND, remote_port, 0, 0);
    if (remote_port < FAKEXEN_PORTS)
        atomic_store(&fx->port[remote_port], 0);
    return remote_port + FAKEXEN_LOCAL;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
    return record(FX_UNBIND, port, 0, 0);
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
    evtchn_port_t port;

    return recv(event_fd, &port, sizeof(port), MSG_DONTWAIT) == sizeof(port) ? (int)port : -1;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
    uint32_t remote = port - FAKEXEN_LOCAL;

    if (remote >= FAKEXEN_PORTS) {
        errno = EINVAL;
        return -1;
    }
    atomic_fetch_add(&fx->unmasked, 1);
    if (atomic_fetch_and(&fx->port[remote], ~FAKEXEN_MASKED) & FAKEXEN_PENDING)
        fakexen_raise(fx, raise_fd, remote);
    return 0;
}

/* ---- libxenctrl, libxentoolcore ---- */

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild_logger,
                                unsigned open_flags)
{
    return (void *)&handle;
}

int xc_interface_close(xc_interface *xch)
{
    return 0;
}

int xc_domain_populate_physmap_exact(xc_interface *xch, uint32_t domid, unsigned long nr_extents,
                                     unsigned int extent_order, unsigned int mem_flags,
                                     xen_pfn_t *extent_start)
{
    fx->populated = extent_start[0];
    fx->populated_pages = nr_extents;
    return record(FX_POPULATE, extent_start[0], nr_extents, 0);
}

int xentoolcore_restrict_all(domid_t domid)
{
    return record(FX_RESTRICT, domid, 0, 0);
}

/* ---- libxenstore ---- */

struct xs_handle *xs_open(unsigned long flags)
{
    return (void *)&handle;
}

void xs_close(struct xs_handle *xsh)
{
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len)
{
    char value[FAKEXEN_TEXT];

    if (!fakexen_store_read(fx, path, value)) {
        errno = ENOENT;
        return NULL;
    }
    if (len)
        *len = strlen(value);
    return strdup(value);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data, unsigned int len)
{
    char value[FAKEXEN_TEXT];

    snprintf(value, sizeof(value), "%.*s", (int)len, (const char *)data);
    fakexen_store_write(fx, watch_write_fd, path, value);
    return true;
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    fakexen_store_remove(fx, watch_write_fd, path);
    return true;
}

bool xs_mkdir(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    return xs_write(h, t, path, "", 0);
}

/* The vector and its strings are one allocation, as libxenstore's are. */
char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num)
{
    char(*names)[FAKEXEN_TEXT] = malloc(FAKEXEN_KEYS * sizeof(*names)), **vector;

    *num = fakexen_store_directory(fx, path, names);
    vector = malloc((*num + 1) * (sizeof(*vector) + FAKEXEN_TEXT));
    for (unsigned i = 0; i < *num; i++) {
        vector[i] = (char *)(vector + *num) + i * FAKEXEN_TEXT;
        memcpy(vector[i], names[i], FAKEXEN_TEXT);
    }
    free(names);
    return vector;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    fakexen_store_watch(fx, watch_write_fd, path, token);
    return true;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
    fakexen_store_unwatch(fx, path, token);
    return true;
}

int xs_fileno(struct xs_handle *h)
{
    return watch_read_fd;
}

/* The vector and its strings are one allocation, as libxenstore's are. */
char **xs_check_watch(struct xs_handle *h)
{
    char message[2 * FAKEXEN_TEXT];
    ssize_t length = recv(watch_read_fd, message, sizeof(message), MSG_DONTWAIT);
    char **vector;

    if (length <= 0)
        return NULL;
    vector = malloc(2 * sizeof(*vector) + length);
    if (!vector)
        return NULL;
    memcpy(vector + 2, message, length);
    vector[XS_WATCH_PATH] = (char *)(vector + 2);
    vector[XS_WATCH_TOKEN] = vector[XS_WATCH_PATH] + strlen(vector[XS_WATCH_PATH]) + 1;
    return vector;
}
