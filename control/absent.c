/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/absent.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "machine/device.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define NO_SCSI  "SCSI disks (vdev=sd*) are not supported; hd* and xvd* are"
#define NO_AHCI  "AHCI (hdtype=\"ahci\") is not supported; IDE is"
#define NO_SOUND "sound is not supported"
#define NO_SPICE "SPICE is not supported; VNC is"
#define NO_USB   "there is no USB yet"

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
    {"usb-tablet", NO_USB},
    {"usb-mouse", NO_USB},
    {"usb-kbd", NO_USB},
    {"xen-pci-passthrough", "passing host devices through is not supported"},
};

/* What libxl makes of usbversion=1, 2 and 3; hot-plugged ones included. */
static const char *const usb_controllers[] = {"piix3-usb-uhci", "ich9-usb-ehci1", "ich9-usb-uhci1",
                                              "ich9-usb-uhci2", "ich9-usb-uhci3", "usb-ehci",
                                              "nec-usb-xhci"};

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
    return is_usb_controller(driver) ? NO_USB : NULL;
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

static bool check_usb_devices(const struct string_list *devices, char asked[256], struct error *err)
{
    static const char *const known[] = {"tablet", "mouse", "keyboard", NULL};

    for (size_t i = 0; i < devices->count; i++) {
        const char *name = devices->items[i];
        size_t nth = 0;

        if (!strncmp(name, "host:", 5))
            return error_set(err, "-usbdevice %s: " NO_USB ", so no device of the host can be passed through",
                             name);
        while (known[nth] && strcmp(name, known[nth]))
            nth++;
        if (!known[nth])
            return unknown_name(err, "USB device", name, known) || error_prefix(err, "-usbdevice");
        absent_append(asked, "-usbdevice", name);
    }
    return true;
}

/* libxl passes these for usb=1 and usbdevice="tablet", as most guests' configurations have it. */
static bool check_usb(const struct control *c, struct error *err)
{
    const struct opts_list *devices = &c->options.devices;
    bool virtual_pointer = c->m.config.xen_domid && !c->m.config.xen_restrict;
    char asked[256] = "";

    if (c->m.config.usb)
        absent_append(asked, "-usb", "");
    if (!check_usb_devices(&c->options.usb_devices, asked, err))
        return false;
    for (size_t i = 0; i < devices->count; i++) {
        const char *driver = opts_get(devices->items[i], "driver");

        if (driver && absent_ignored(driver))
            absent_append(asked, "-device", driver);
    }
    if (asked[0])
        log_line("%s: " NO_USB ", this has no effect; the guest's pointer is a PS/2 mouse%s", asked,
                 virtual_pointer ? ", with Xen's drivers an absolute virtual one (vkb_device)" : "");
    return true;
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

bool absent_check(const struct control *c, struct error *err)
{
    check_channels(c);
    return check_usb(c, err);
}
