/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The packet commands of a CD/DVD reader (MMC-5, SPC-3, and SFF-8020i for what they left behind). */
#include <string.h>

#include "base/util.h"
#include "hw/ide/atapi.h"

/* Media with more sectors are DVDs: 99 min 59 s 74 frames is what a CD's addresses reach. */
#define CD_SECTORS_MAX (100 * 60 * 75 - 150)

#define CD_SPEED        (50 * 176) /* kB/s */
#define PROFILE_CD_ROM  0x0008
#define PROFILE_DVD_ROM 0x0010
#define LEAD_OUT        0xAA
#define ADR_DATA_TRACK  0x14 /* Q sub-channel holds the position; a data track */

enum {
    TEST_UNIT_READY = 0x00,
    REZERO_UNIT = 0x01,
    REQUEST_SENSE = 0x03,
    INQUIRY = 0x12,
    MODE_SELECT_6 = 0x15,
    MODE_SENSE_6 = 0x1A,
    START_STOP_UNIT = 0x1B,
    PREVENT_ALLOW_MEDIUM_REMOVAL = 0x1E,
    READ_FORMAT_CAPACITIES = 0x23,
    READ_CAPACITY = 0x25,
    READ_10 = 0x28,
    SEEK_10 = 0x2B,
    VERIFY_10 = 0x2F,
    SYNCHRONIZE_CACHE = 0x35,
    READ_SUB_CHANNEL = 0x42,
    READ_TOC = 0x43,
    READ_HEADER = 0x44,
    GET_CONFIGURATION = 0x46,
    GET_EVENT_STATUS_NOTIFICATION = 0x4A,
    STOP_PLAY_SCAN = 0x4E,
    READ_DISC_INFORMATION = 0x51,
    READ_TRACK_INFORMATION = 0x52,
    MODE_SELECT_10 = 0x55,
    MODE_SENSE_10 = 0x5A,
    READ_12 = 0xA8,
    READ_DVD_STRUCTURE = 0xAD,
    SET_STREAMING = 0xB6,
    READ_CD_MSF = 0xB9,
    SET_CD_SPEED = 0xBB,
    MECHANISM_STATUS = 0xBD,
    READ_CD = 0xBE,
};

/* ---- addresses: big-endian numbers, or minutes, seconds, frames ---- */

/* Addresses begin 150 frames, two seconds, before the first sector. */
static void put_msf(uint8_t *at, uint32_t lba)
{
    uint64_t frames = (uint64_t)lba + 150;

    at[0] = frames / (75 * 60);
    at[1] = frames / 75 % 60;
    at[2] = frames % 75;
}

static void put_address(uint8_t *at, uint32_t lba, bool msf)
{
    put_be32(at, 0);
    if (msf)
        put_msf(at + 1, lba);
    else
        put_be32(at, lba);
}

/* ---- helpers ---- */

static void invalid_field(struct cdrom *cd)
{
    cdrom_fail(cd, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
}

/* A zeroed buffer for a reply of up to length bytes. */
static uint8_t *blank(struct cdrom *cd, uint32_t length)
{
    return memset(cd->ide.buffer, 0, length);
}

static bool is_dvd(const struct cdrom *cd)
{
    return cdrom_sectors(cd) > CD_SECTORS_MAX;
}

static uint16_t current_profile(const struct cdrom *cd)
{
    if (!cdrom_ready(cd))
        return 0;
    return is_dvd(cd) ? PROFILE_DVD_ROM : PROFILE_CD_ROM;
}

static uint16_t not_present(const struct cdrom *cd)
{
    return cd->tray_open ? ASC_MEDIUM_NOT_PRESENT_OPEN : ASC_MEDIUM_NOT_PRESENT_CLOSED;
}

/* ---- identity ---- */

static void request_sense(struct cdrom *cd)
{
    uint8_t *b = blank(cd, 18);

    if (!cd->sense_key && cd->step == MEDIUM_ATTENTION) {
        cd->sense_key = SENSE_UNIT_ATTENTION;
        cd->sense_code = ASC_MEDIUM_MAY_HAVE_CHANGED;
        cd->step = MEDIUM_SETTLED;
    }
    b[0] = 0x70;
    b[2] = cd->sense_key;
    b[7] = 10; /* bytes that follow */
    put_be16(b + 12, cd->sense_code);
    cd->sense_key = cd->sense_code = 0;
    cdrom_reply(cd, 18, cd->packet[4]);
}

/* Text padded with spaces, not ended. */
static void put_text(uint8_t *at, unsigned length, const char *text)
{
    size_t n = strnlen(text, length);

    memset(at, ' ', length);
    memcpy(at, text, n);
}

/* Vital product data: the pages there are, the serial number, the identification. */
static void inquiry_vpd(struct cdrom *cd)
{
    uint8_t page = cd->packet[2], *b = blank(cd, 64), length;
    char serial[21];

    ide_serial(&cd->ide, serial);
    b[0] = 0x05;
    b[1] = page;
    switch (page) {
    case 0x00:
        b[4] = 0x00;
        b[5] = 0x80;
        b[6] = 0x83;
        length = 3;
        break;
    case 0x80:
        length = strlen(serial);
        memcpy(b + 4, serial, length);
        break;
    case 0x83:
        b[4] = 0x02; /* ASCII */
        b[5] = 0x01; /* vendor identification: name and serial number */
        b[7] = 8 + strlen(serial);
        put_text(b + 8, 8, "HVM-DM");
        memcpy(b + 16, serial, strlen(serial));
        length = 4 + b[7];
        break;
    default:
        invalid_field(cd);
        return;
    }
    b[3] = length;
    cdrom_reply(cd, 4 + length, get_be16(cd->packet + 3));
}

static void inquiry(struct cdrom *cd)
{
    const char *version = cd->ide.version ? cd->ide.version : "1.0";
    uint8_t *b;

    if (cd->packet[1] & 1) {
        inquiry_vpd(cd);
        return;
    }
    if (cd->packet[2]) {
        invalid_field(cd);
        return;
    }
    b = blank(cd, 36);
    b[0] = 0x05; /* CD/DVD device */
    b[1] = 0x80; /* removable */
    b[3] = 0x21; /* ATAPI 2, SPC's format of data */
    b[4] = 31;   /* bytes that follow */
    put_text(b + 8, 8, "HVM-DM");
    put_text(b + 16, 16, cd->ide.model ? cd->ide.model : "DVD-ROM");
    put_text(b + 32, 4, version);
    cdrom_reply(cd, 36, get_be16(cd->packet + 3));
}

/* ---- readiness, tray ---- */

static void good(struct cdrom *cd)
{
    cdrom_good(cd);
}

static void start_stop_unit(struct cdrom *cd)
{
    bool load_eject = cd->packet[4] & 2, start = cd->packet[4] & 1;

    if (cd->packet[4] >> 4) {
        cdrom_good(cd); /* a power condition: nothing changes by it */
        return;
    }
    if (load_eject && !start && cd->locked && !cd->tray_open) {
        cdrom_fail(cd, SENSE_ILLEGAL_REQUEST, ASC_MEDIUM_REMOVAL_PREVENTED);
        return;
    }
    if (load_eject)
        cdrom_move_tray(cd, !start);
    cdrom_good(cd);
}

static void prevent_allow(struct cdrom *cd)
{
    cd->locked = cd->packet[4] & 1;
    cdrom_good(cd);
}

static void get_event_status(struct cdrom *cd)
{
    uint8_t *b = blank(cd, 8);

    if (!(cd->packet[1] & 1)) { /* asynchronous operation */
        invalid_field(cd);
        return;
    }
    b[3] = 0x10; /* classes there are: media */
    if (!(cd->packet[4] & 0x10)) {
        put_be16(b, 2);
        b[2] = 0x80; /* no event available */
        cdrom_reply(cd, 4, get_be16(cd->packet + 7));
        return;
    }
    put_be16(b, 6);
    b[2] = 4; /* media class */
    b[4] = cd->event;
    b[5] = (cdrom_ready(cd) ? 2 : 0) | (cd->tray_open ? 1 : 0);
    cd->event = EVENT_NO_CHANGE;
    cdrom_reply(cd, 8, get_be16(cd->packet + 7));
}

static void mechanism_status(struct cdrom *cd)
{
    uint8_t *b = blank(cd, 8);

    b[1] = cd->tray_open ? 0x10 : 0;
    cdrom_reply(cd, 8, get_be16(cd->packet + 8));
}

/* ---- reading ---- */

/* Reads sectors, or for VERIFY and SEEK only looks whether they are there. */
static bool in_range(struct cdrom *cd, uint32_t lba, uint32_t sectors)
{
    uint32_t end = cdrom_sectors(cd);

    if (lba <= end && sectors <= end - lba)
        return true;
    cdrom_fail(cd, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    return false;
}

static void read_sectors(struct cdrom *cd, uint32_t lba, uint32_t sectors, uint16_t sector_size)
{
    if (in_range(cd, lba, sectors))
        cdrom_read(cd, lba, sectors, sector_size);
}

static void read_10(struct cdrom *cd)
{
    read_sectors(cd, get_be32(cd->packet + 2), get_be16(cd->packet + 7), CD_SECTOR);
}

static void read_12(struct cdrom *cd)
{
    read_sectors(cd, get_be32(cd->packet + 2), get_be32(cd->packet + 6), CD_SECTOR);
}

static void verify_10(struct cdrom *cd)
{
    if (in_range(cd, get_be32(cd->packet + 2), get_be16(cd->packet + 7)))
        cdrom_good(cd);
}

static void seek_10(struct cdrom *cd)
{
    if (in_range(cd, get_be32(cd->packet + 2), 1))
        cdrom_good(cd);
}

/* The forms that READ CD serves: the user data of mode 1 sectors, or whole sectors. */
static void read_cd_sectors(struct cdrom *cd, uint32_t lba, uint32_t sectors)
{
    uint8_t type = cd->packet[1] >> 2 & 7, fields = cd->packet[9] & 0xFE;

    if (cd->packet[10] & 7) { /* sub-channel data */
        invalid_field(cd);
        return;
    }
    if (type > 2 || type == 1) { /* not a mode 1 sector */
        cdrom_fail(cd, SENSE_ILLEGAL_REQUEST, ASC_ILLEGAL_MODE_FOR_TRACK);
        return;
    }
    switch (fields) {
    case 0x00:
        if (in_range(cd, lba, sectors))
            cdrom_good(cd);
        break;
    case 0x10:
        read_sectors(cd, lba, sectors, CD_SECTOR);
        break;
    case 0xF8:
        read_sectors(cd, lba, sectors, CD_RAW_SECTOR);
        break;
    default:
        invalid_field(cd);
    }
}

static void read_cd(struct cdrom *cd)
{
    read_cd_sectors(cd, get_be32(cd->packet + 2), get_be24(cd->packet + 6));
}

static uint32_t from_msf(const uint8_t *at)
{
    return (at[0] * 60 + at[1]) * 75 + at[2] - 150;
}

static void read_cd_msf(struct cdrom *cd)
{
    uint32_t start = from_msf(cd->packet + 3), end = from_msf(cd->packet + 6);

    if (end < start)
        invalid_field(cd);
    else
        read_cd_sectors(cd, start, end - start);
}

static void read_capacity(struct cdrom *cd)
{
    uint32_t sectors = cdrom_sectors(cd);
    uint8_t *b = blank(cd, 8);

    put_be32(b, sectors ? sectors - 1 : 0);
    put_be32(b + 4, CD_SECTOR);
    cdrom_reply(cd, 8, 8);
}

static void read_format_capacities(struct cdrom *cd)
{
    uint8_t *b = blank(cd, 12);

    b[3] = 8; /* one descriptor */
    put_be32(b + 4, cdrom_ready(cd) ? cdrom_sectors(cd) : 0);
    b[8] = cdrom_ready(cd) ? 2 : 3; /* formatted medium; none */
    put_be24(b + 9, CD_SECTOR);
    cdrom_reply(cd, 12, get_be16(cd->packet + 7));
}

static void read_header(struct cdrom *cd)
{
    uint32_t lba = get_be32(cd->packet + 2);
    uint8_t *b;

    if (!in_range(cd, lba, 1))
        return;
    b = blank(cd, 8);
    b[0] = 1; /* mode 1 */
    put_address(b + 4, lba, cd->packet[1] & 2);
    cdrom_reply(cd, 8, get_be16(cd->packet + 7));
}

/* ---- table of contents: one session of one data track ---- */

static uint8_t *put_toc_entry(uint8_t *at, uint8_t track, uint32_t lba, bool msf)
{
    at[1] = ADR_DATA_TRACK;
    at[2] = track;
    put_address(at + 4, lba, msf);
    return at + 8;
}

static uint32_t toc_tracks(struct cdrom *cd, uint8_t *b, bool msf)
{
    uint8_t *at = b + 4;

    b[2] = b[3] = 1; /* first and last track */
    if (cd->packet[6] <= 1)
        at = put_toc_entry(at, 1, 0, msf);
    at = put_toc_entry(at, LEAD_OUT, cdrom_sectors(cd), msf);
    return at - b;
}

static uint32_t toc_session(struct cdrom *cd, uint8_t *b, bool msf)
{
    b[2] = b[3] = 1; /* first and last session */
    return put_toc_entry(b + 4, 1, 0, msf) - b;
}

static uint8_t *put_raw_entry(uint8_t *at, uint8_t point, uint8_t minute, uint8_t second, uint8_t frame)
{
    at[0] = 1; /* session */
    at[1] = ADR_DATA_TRACK;
    at[3] = point;
    at[8] = minute;
    at[9] = second;
    at[10] = frame;
    return at + 11;
}

/* As in the lead-in: first track, last track, lead-out, track 1. */
static uint32_t toc_raw(struct cdrom *cd, uint8_t *b)
{
    uint8_t *at = b + 4, end[3], start[3];

    put_msf(end, cdrom_sectors(cd));
    put_msf(start, 0);
    b[2] = b[3] = 1;
    at = put_raw_entry(at, 0xA0, 1, 0, 0);
    at = put_raw_entry(at, 0xA1, 1, 0, 0);
    at = put_raw_entry(at, 0xA2, end[0], end[1], end[2]);
    at = put_raw_entry(at, 1, start[0], start[1], start[2]);
    return at - b;
}

static void read_toc(struct cdrom *cd)
{
    /* SFF-8020i had the format in the control byte. */
    uint8_t format = cd->packet[2] & 15 ? cd->packet[2] & 15 : cd->packet[9] >> 6, *b = blank(cd, 64);
    bool msf = cd->packet[1] & 2;
    uint32_t length;

    if (format == 0 && cd->packet[6] > 1 && cd->packet[6] != LEAD_OUT) {
        invalid_field(cd);
        return;
    }
    switch (format) {
    case 0:
        length = toc_tracks(cd, b, msf);
        break;
    case 1:
        length = toc_session(cd, b, msf);
        break;
    case 2:
        length = toc_raw(cd, b);
        break;
    default:
        invalid_field(cd);
        return;
    }
    put_be16(b, length - 2);
    cdrom_reply(cd, length, get_be16(cd->packet + 7));
}

static void read_sub_channel(struct cdrom *cd)
{
    uint8_t format = cd->packet[3], *b = blank(cd, 24);
    uint32_t length = 4;

    b[1] = 0x15;                /* no audio status */
    if (cd->packet[2] & 0x40) { /* SubQ */
        switch (format) {
        case 1:
            b[4] = 1;
            b[5] = ADR_DATA_TRACK;
            b[6] = b[7] = 1; /* track, index */
            put_address(b + 8, 0, cd->packet[1] & 2);
            length = 16;
            break;
        case 2: /* media catalogue number: none */
        case 3: /* ISRC: none */
            b[4] = format;
            length = 24;
            break;
        default:
            invalid_field(cd);
            return;
        }
    }
    put_be16(b + 2, length - 4);
    cdrom_reply(cd, length, get_be16(cd->packet + 7));
}

static void read_disc_information(struct cdrom *cd)
{
    uint8_t *b;

    if (cd->packet[1] & 7) {
        invalid_field(cd);
        return;
    }
    b = blank(cd, 34);
    put_be16(b, 32);
    b[2] = 0x0E;     /* not erasable, last session complete, disc complete */
    b[3] = 1;        /* first track */
    b[4] = 1;        /* sessions */
    b[5] = b[6] = 1; /* first and last track of the last session */
    b[7] = 0x20;     /* unrestricted use */
    memset(b + 16, 0xFF, 8);
    cdrom_reply(cd, 34, get_be16(cd->packet + 7));
}

/* Addressed by LBA, track or session: it is track 1 or none. */
static void read_track_information(struct cdrom *cd)
{
    uint32_t number = get_be32(cd->packet + 2);
    uint8_t kind = cd->packet[1] & 3, *b;

    if (kind == 0 ? number >= cdrom_sectors(cd) : kind == 3 || number != 1) {
        invalid_field(cd);
        return;
    }
    b = blank(cd, 36);
    put_be16(b, 34);
    b[2] = b[3] = 1;                     /* track, session */
    b[5] = 0x04;                         /* a data track, recorded without interruption */
    b[6] = 0x01;                         /* mode 1 */
    put_be32(b + 24, cdrom_sectors(cd)); /* size */
    cdrom_reply(cd, 36, get_be16(cd->packet + 7));
}

/* ---- DVD ---- */

static uint32_t dvd_physical(struct cdrom *cd, uint8_t *b)
{
    b[4] = 0x01;               /* DVD-ROM, version 1 */
    b[5] = 0x0F;               /* 120 mm, no rate given */
    b[6] = 0x01;               /* one layer, embossed */
    put_be24(b + 9, 0x030000); /* where the data area begins */
    put_be24(b + 13, 0x030000 + cdrom_sectors(cd) - 1);
    return 4 + 2048;
}

static void read_dvd_structure(struct cdrom *cd)
{
    uint8_t format = cd->packet[7], *b = blank(cd, 4 + 2048);
    uint32_t length;

    if ((cd->packet[1] & 15) != 0 || cd->packet[6] != 0) { /* Blu-ray; a second layer */
        invalid_field(cd);
        return;
    }
    if (!is_dvd(cd)) {
        cdrom_fail(cd, SENSE_ILLEGAL_REQUEST, ASC_INCOMPATIBLE_MEDIUM);
        return;
    }
    switch (format) {
    case 0x00:
        length = dvd_physical(cd, b);
        break;
    case 0x01: /* copyright: no protection, every region */
        length = 4 + 4;
        break;
    case 0x04: /* manufacturing information */
        length = 4 + 2048;
        break;
    default:
        invalid_field(cd);
        return;
    }
    put_be16(b, length - 2);
    cdrom_reply(cd, length, get_be16(cd->packet + 8));
}

/* ---- features ---- */

struct feature {
    uint16_t code;
    uint8_t flags; /* version << 2 | persistent << 1 | current */
    uint8_t length;
    uint8_t data[8];
    uint16_t profile; /* it is current with that medium only; 0: always */
};

/* A feature that needs any medium. */
#define ANY_MEDIUM 0xFFFF

static const struct feature features[] = {
    /* profile list: filled in by put_feature */
    {.code = 0x0000, .flags = 0x03, .length = 8, .data = {0x00, 0x10, 0, 0, 0x00, 0x08, 0, 0}},
    /* core: ATAPI */
    {.code = 0x0001, .flags = 0x03, .length = 4, .data = {0, 0, 0, 2}},
    /* removable medium: tray, can eject and lock */
    {.code = 0x0003, .flags = 0x03, .length = 4, .data = {0x29}},
    /* random readable: blocks of 2048 bytes, one by one; error recovery page present */
    {.code = 0x0010, .length = 8, .data = {0, 0, 8, 0, 0, 1, 1}, .profile = ANY_MEDIUM},
    /* CD read */
    {.code = 0x001E, .length = 4, .profile = PROFILE_CD_ROM},
    /* DVD read */
    {.code = 0x001F, .length = 0, .profile = PROFILE_DVD_ROM},
    /* power management */
    {.code = 0x0100, .flags = 0x03, .length = 0},
    /* timeouts */
    {.code = 0x0105, .flags = 0x03, .length = 0},
};

static bool is_current(const struct cdrom *cd, const struct feature *f)
{
    uint16_t profile = current_profile(cd);

    return !f->profile || f->profile == profile || (f->profile == ANY_MEDIUM && profile);
}

static uint8_t *put_feature(const struct cdrom *cd, const struct feature *f, uint8_t *at)
{
    put_be16(at, f->code);
    at[2] = f->flags | (is_current(cd, f) ? 1 : 0);
    at[3] = f->length;
    memcpy(at + 4, f->data, f->length);
    if (f->code == 0x0000) {
        at[6] = current_profile(cd) == PROFILE_DVD_ROM;
        at[10] = current_profile(cd) == PROFILE_CD_ROM;
    }
    return at + 4 + f->length;
}

static void get_configuration(struct cdrom *cd)
{
    uint8_t wanted = cd->packet[1] & 3, *b = blank(cd, 256), *at = b + 8;
    uint16_t from = get_be16(cd->packet + 2);

    if (wanted == 3) {
        invalid_field(cd);
        return;
    }
    for (size_t i = 0; i < COUNT(features); i++) {
        const struct feature *f = &features[i];

        if (f->code < from || (wanted == 2 && f->code != from) || (wanted == 1 && !is_current(cd, f)))
            continue;
        at = put_feature(cd, f, at);
    }
    put_be32(b, at - b - 4);
    put_be16(b + 6, current_profile(cd));
    cdrom_reply(cd, at - b, get_be16(cd->packet + 7));
}

/* ---- mode pages ---- */

enum {
    PAGE_ERROR_RECOVERY = 0x01,
    PAGE_CD = 0x0D,
    PAGE_AUDIO = 0x0E,
    PAGE_POWER = 0x1A,
    PAGE_CAPABILITIES = 0x2A
};
static const uint8_t mode_pages[] = {PAGE_ERROR_RECOVERY, PAGE_CD, PAGE_AUDIO, PAGE_POWER, PAGE_CAPABILITIES};

/* The length byte of a page; 0: there is no such page. */
static uint8_t page_length(uint8_t page)
{
    switch (page) {
    case PAGE_ERROR_RECOVERY:
    case PAGE_POWER:
        return 0x0A;
    case PAGE_CD:
        return 0x06;
    case PAGE_AUDIO:
        return 0x0E;
    case PAGE_CAPABILITIES:
        return 0x14;
    default:
        return 0;
    }
}

static void put_capabilities(const struct cdrom *cd, uint8_t *at)
{
    at[2] = 0x0B;                           /* reads CD-R, CD-RW, DVD-ROM */
    at[4] = 0x70;                           /* mode 2 form 1 and 2, multi-session */
    at[6] = 0x29 | (cd->locked ? 0x02 : 0); /* tray, ejects, locks; locked now */
    put_be16(at + 8, CD_SPEED);
    put_be16(at + 12, IDE_BUFFER / 1024); /* KiB */
    put_be16(at + 14, CD_SPEED);
}

static void put_page_values(const struct cdrom *cd, uint8_t page, uint8_t *at)
{
    switch (page) {
    case PAGE_ERROR_RECOVERY:
        at[3] = 5; /* retries */
        break;
    case PAGE_CD:
        at[3] = 0x0D; /* inactivity: 32 minutes */
        put_be16(at + 4, 60);
        put_be16(at + 6, 75);
        break;
    case PAGE_AUDIO:
        at[2] = 0x04; /* PLAY would return at once */
        at[8] = 1;
        at[10] = 2;
        at[9] = at[11] = 0xFF; /* volume */
        break;
    case PAGE_CAPABILITIES:
        put_capabilities(cd, at);
        break;
    }
}

/* control: 0 current, 1 changeable (nothing is), 2 default values */
static uint8_t *put_page(const struct cdrom *cd, uint8_t page, uint8_t control, uint8_t *at)
{
    at[0] = page;
    at[1] = page_length(page);
    if (control != 1)
        put_page_values(cd, page, at);
    return at + 2 + at[1];
}

static uint8_t medium_type(const struct cdrom *cd)
{
    if (cd->tray_open)
        return 0x71;
    return cdrom_ready(cd) ? 0x01 : 0x70;
}

static void mode_sense(struct cdrom *cd)
{
    bool ten = cd->packet[0] == MODE_SENSE_10;
    uint8_t page = cd->packet[2] & 0x3F, control = cd->packet[2] >> 6, *b = blank(cd, 256);
    uint8_t *at = b + (ten ? 8 : 4);

    if (control == 3) {
        cdrom_fail(cd, SENSE_ILLEGAL_REQUEST, ASC_SAVING_NOT_SUPPORTED);
        return;
    }
    if (page != 0x3F && !page_length(page)) {
        invalid_field(cd);
        return;
    }
    for (size_t i = 0; i < sizeof(mode_pages); i++)
        if (page == 0x3F || page == mode_pages[i])
            at = put_page(cd, mode_pages[i], control, at);
    if (ten) {
        put_be16(b, at - b - 2);
        b[2] = medium_type(cd);
    } else {
        b[0] = at - b - 1;
        b[1] = medium_type(cd);
    }
    cdrom_reply(cd, at - b, ten ? get_be16(cd->packet + 7) : cd->packet[4]);
}

static void mode_select(struct cdrom *cd)
{
    uint32_t length = cd->packet[0] == MODE_SELECT_10 ? get_be16(cd->packet + 7) : cd->packet[4];

    if (!length)
        cdrom_good(cd);
    else if (cd->packet[1] & 1)
        cdrom_fail(cd, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD); /* save pages */
    else
        cdrom_take(cd, length);
}

/* Every page must be one that there is, whole; its values change nothing. */
void mmc_parameters(struct cdrom *cd, uint32_t length)
{
    bool ten = cd->packet[0] == MODE_SELECT_10;
    const uint8_t *b = cd->ide.buffer;
    uint32_t at = ten ? 8 : 4;

    if (length < at) {
        cdrom_fail(cd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LENGTH);
        return;
    }
    at += ten ? get_be16(b + 6) : b[3]; /* block descriptors */
    if (at > length) {
        cdrom_fail(cd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LENGTH);
        return;
    }
    while (at < length) {
        if (length - at < 2 || length - at < 2u + b[at + 1]) {
            cdrom_fail(cd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LENGTH);
            return;
        }
        if (!page_length(b[at] & 0x3F) || page_length(b[at] & 0x3F) != b[at + 1]) {
            cdrom_fail(cd, SENSE_ILLEGAL_REQUEST, ASC_INVALID_PARAMETER);
            return;
        }
        at += 2 + b[at + 1];
    }
    cdrom_good(cd);
}

/* ---- dispatch ---- */

enum {
    NEEDS_MEDIUM = 1,
    ALWAYS = 2, /* a unit attention neither stops it nor is cleared by it */
};

static const struct command {
    uint8_t code, flags;
    void (*run)(struct cdrom *cd);
} commands[] = {
    {TEST_UNIT_READY, NEEDS_MEDIUM, good},
    {REZERO_UNIT, 0, good},
    {REQUEST_SENSE, ALWAYS, request_sense},
    {INQUIRY, ALWAYS, inquiry},
    {MODE_SELECT_6, 0, mode_select},
    {MODE_SENSE_6, 0, mode_sense},
    {START_STOP_UNIT, 0, start_stop_unit},
    {PREVENT_ALLOW_MEDIUM_REMOVAL, 0, prevent_allow},
    {READ_FORMAT_CAPACITIES, 0, read_format_capacities},
    {READ_CAPACITY, NEEDS_MEDIUM, read_capacity},
    {READ_10, NEEDS_MEDIUM, read_10},
    {SEEK_10, NEEDS_MEDIUM, seek_10},
    {VERIFY_10, NEEDS_MEDIUM, verify_10},
    {SYNCHRONIZE_CACHE, 0, good},
    {READ_SUB_CHANNEL, NEEDS_MEDIUM, read_sub_channel},
    {READ_TOC, NEEDS_MEDIUM, read_toc},
    {READ_HEADER, NEEDS_MEDIUM, read_header},
    {GET_CONFIGURATION, ALWAYS, get_configuration},
    {GET_EVENT_STATUS_NOTIFICATION, ALWAYS, get_event_status},
    {STOP_PLAY_SCAN, NEEDS_MEDIUM, good},
    {READ_DISC_INFORMATION, NEEDS_MEDIUM, read_disc_information},
    {READ_TRACK_INFORMATION, NEEDS_MEDIUM, read_track_information},
    {MODE_SELECT_10, 0, mode_select},
    {MODE_SENSE_10, 0, mode_sense},
    {READ_12, NEEDS_MEDIUM, read_12},
    {READ_DVD_STRUCTURE, NEEDS_MEDIUM, read_dvd_structure},
    {SET_STREAMING, 0, good},
    {READ_CD_MSF, NEEDS_MEDIUM, read_cd_msf},
    {SET_CD_SPEED, 0, good},
    {MECHANISM_STATUS, 0, mechanism_status},
    {READ_CD, NEEDS_MEDIUM, read_cd},
};

static const struct command *mmc_find_command(uint8_t code)
{
    for (size_t i = 0; i < COUNT(commands); i++)
        if (commands[i].code == code)
            return &commands[i];
    return NULL;
}

/* What stands between the command and its execution; true: it has failed. */
static bool not_ready(struct cdrom *cd, uint8_t flags)
{
    if (flags & ALWAYS)
        return false;
    if (cd->step == MEDIUM_ABSENT && flags & NEEDS_MEDIUM) {
        cd->step = MEDIUM_ATTENTION;
        cdrom_fail(cd, SENSE_NOT_READY, not_present(cd));
        return true;
    }
    if (cd->step == MEDIUM_ATTENTION) {
        cd->step = MEDIUM_SETTLED;
        cdrom_fail(cd, SENSE_UNIT_ATTENTION, ASC_MEDIUM_MAY_HAVE_CHANGED);
        return true;
    }
    if (flags & NEEDS_MEDIUM && !cdrom_ready(cd)) {
        cdrom_fail(cd, SENSE_NOT_READY, not_present(cd));
        return true;
    }
    return false;
}

void mmc_command(struct cdrom *cd)
{
    const struct command *command = mmc_find_command(cd->packet[0]);

    if (cd->packet[0] != REQUEST_SENSE)
        cd->sense_key = cd->sense_code = 0;
    if (!command)
        cdrom_fail(cd, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
    else if (!not_ready(cd, command->flags))
        command->run(cd);
}
