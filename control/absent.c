/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/absent.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "machine/device.h"

#define NO_SCSI  "SCSI disks (vdev=sd*) are not supported; hd* and xvd* are"
#define NO_AHCI  "AHCI (hdtype=\"ahci\") is not supported; IDE is"
#define NO_SOUND "sound is not supported"
#define NO_SPICE "SPICE is not supported; VNC is"
#define NO_USB   "USB devices of the host cannot be passed through"

static const struct {
    const char *driver, *reason;
} known_elsewhere[] = {
    {"lsi53c895a", NO_SCSI},
    {"scsi-hd", NO_SCSI},
    {"scsi-cd", NO_SCSI},
    {"scsi-disk", NO_SCSI},
    {"ahci", NO_AHCI},
    {"ich9-ahci", NO_AHCI},
    {"ac97", NO_SOUND},
    {"adlib", NO_SOUND},
    {"cs4231a", NO_SOUND},
    {"es1370", NO_SOUND},
    {"gus", NO_SOUND},
    {"sb16", NO_SOUND},
    {"intel-hda", NO_SOUND},
    {"hda-duplex", NO_SOUND},
    {"qxl-vga", NO_SPICE},
    {"virtio-serial", NO_SPICE},
    {"virtserialport", NO_SPICE},
    {"usb-redir", NO_USB},
    {"usb-host", NO_USB},
    {"xen-pci-passthrough", "passing host devices through is not supported"},
};

/* What libxl makes of usbversion=2 and 3; hot-plugged ones included. */
#define ONLY_UHCI "the only USB controller is piix3-usb-uhci (usbversion=1)"
static const char *const usb_controllers[] = {"ich9-usb-ehci1", "ich9-usb-uhci1", "ich9-usb-uhci2",
                                              "ich9-usb-uhci3", "usb-ehci",       "nec-usb-xhci",
                                              "qemu-xhci"};

static bool is_usb_controller(const char *driver)
{
    for (size_t i = 0; i < COUNT(usb_controllers); i++)
        if (!strcmp(driver, usb_controllers[i]))
            return true;
    return false;
}

const char *absent_reason(const char *driver)
{
    for (size_t i = 0; i < COUNT(known_elsewhere); i++)
        if (!strcmp(driver, known_elsewhere[i].driver))
            return known_elsewhere[i].reason;
    return is_usb_controller(driver) ? ONLY_UHCI : NULL;
}

bool absent_ignored(const char *driver)
{
    return is_usb_controller(driver) && !device_find_class(driver);
}

/* ---- USB ---- */

static void absent_append(char text[256], const char *option, const char *arg)
{
    size_t used = strlen(text);

    snprintf(text + used, 256 - used, "%s%s%s%s", used ? ", " : "", option, arg[0] ? " " : "", arg);
}

static void check_usb(const struct control *c)
{
    const struct opts_list *devices = &c->options.devices;
    char asked[256] = "";

    for (size_t i = 0; i < devices->count; i++) {
        const char *driver = opts_get(devices->items[i], "driver");

        if (driver && absent_ignored(driver))
            absent_append(asked, "-device", driver);
    }
    if (asked[0])
        log_line("%s: " ONLY_UHCI ", this has no effect", asked);
}

/* ---- channels ---- */

/* channel= in a domain's configuration: the guest finds its end by way of xenstore. */
static void check_channels(const struct control *c)
{
    if (!c->m.config.xen_restrict)
        return;
    for (size_t i = 0; i < c->options.chardevs.count; i++) {
        const char *id = opts_get(c->options.chardevs.items[i], "id");

        if (id && !strncmp(id, "libxl-channel", 13))
            log_line("-chardev id=%s: without xenstore (-xen-domid-restrict) channels are not served", id);
    }
}

void absent_tell(const struct control *c)
{
    check_channels(c);
    check_usb(c);
}

/* ---- options that people know from elsewhere: a clear word instead of "no such option" ---- */

static bool apply_dtb(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(err, "-dtb: a PC has ACPI tables, not a device tree");
}

static bool apply_refused(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(err, "%s is not supported by hvm-dm", option);
}

static bool apply_sound(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(err, "%s %s: sound is not supported", option, arg);
}

static bool apply_attach(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(err, "%s: hvm-dm serves HVM domains, not PV or PVH domains or their disks", option);
}

static bool apply_traditional(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(
        err,
        "%s belongs to the protocol of device_model_version=\"qemu-xen-traditional\", which is not "
        "supported; use \"qemu-xen\"",
        option);
}

static bool apply_spice(struct options *o, const char *option, const char *arg, struct error *err)
{
    return error_set(err, "%s %s: SPICE is not supported; VNC is", option, arg);
}

/* Until there is a filter of system calls, nobody is told that there is one. */
static bool apply_sandbox(struct options *o, const char *option, const char *arg, struct error *err)
{
    return !strncmp(arg, "off", 3) ||
           error_set(err,
                     "%s %s: there is no filter of system calls; -runas, -chroot and -xen-domid-restrict "
                     "take rights away",
                     option, arg);
}

const struct option absent_option_rows[] = {FUNCTION("xen-attach", NULL, apply_attach, NULL),
                                            FUNCTION("dtb", "FILE", apply_dtb, NULL),
                                            FUNCTION("spice", "OPTIONS", apply_spice, NULL),
                                            FUNCTION("sandbox", "on|off", apply_sandbox, NULL),
                                            IGNORED("msg", "timestamp=on"),
                                            IGNORED("trace", "ARG"),
                                            IGNORED("D", "FILE"),
                                            FUNCTION("soundhw", "CARD", apply_sound, NULL),
                                            FUNCTION("audiodev", "ARG", apply_refused, NULL),
                                            FUNCTION("loadvm", "FILE", apply_refused, NULL),
                                            FUNCTION("d", "DOMAIN", apply_traditional, NULL),
                                            FUNCTION("domain-name", "NAME", apply_traditional, NULL),
                                            OPTIONS_END};
