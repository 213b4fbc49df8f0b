/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kinds of back ends there are. */
#include "xenpv/xenpv.h"

#include "xenpv/xenbus_backend.h"

static const struct xenbus_class *const classes[] = {&xen_vkbd_class, &xen_qdisk_class, &xen_channel_class,
                                                     NULL};

bool xenpv_start(struct xenpv *pv, struct error *err)
{
    return xenbus_start(pv, classes, err);
}

void xenpv_stop(struct xenpv *pv)
{
    xenbus_stop(pv);
}

void xenpv_event(struct xenpv *pv, int port)
{
    xenbus_event(pv, port);
}

void xenpv_resume(struct xenpv *pv)
{
    xenbus_resume(pv);
}
