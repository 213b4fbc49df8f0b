/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that the guest grants to a back end: copied by Xen, or mapped and kept mapped ("persistent"), which
 * a front end may agree to. It then uses the same few pages again and again. Machine thread only.
 */
#ifndef XENPV_XEN_GRANTS_H
#define XENPV_XEN_GRANTS_H

#include "xenpv/xenpv.h"

/* A part of a page. */
struct grant_part {
    uint32_t reference;
    uint16_t offset, length; /* bytes within the page, checked by the caller */
};

/* Copies the parts from or to one buffer, where they lie one behind the other. False: not all could be. */
bool grants_read(struct xenpv *pv, const struct grant_part *parts, unsigned count, void *buffer);
bool grants_write(struct xenpv *pv, const struct grant_part *parts, unsigned count, void *buffer);

enum { GRANT_COPIES = 128 }; /* parts at most */

struct grant_pages;

/* Up to max pages kept mapped; NULL: out of memory. */
struct grant_pages *grant_pages_new(struct xenpv *pv, unsigned max);
void grant_pages_free(struct grant_pages *pages); /* unmaps them */
/* The page, writable, now mapped for good. NULL: there are max already, or it cannot be: copy it. */
uint8_t *grant_page(struct grant_pages *pages, uint32_t reference);

#endif
