/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP commands about the screen, the viewers and input. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "console/console.h"
#include "control/keys.h"
#include "control/qmp.h"
#include "control/screendump.h"
#include "control/window.h"

/* ---- viewers ---- */

static json_t *describe_viewer(const struct vnc_endpoint *viewer)
{
    return json_pack("{s:s, s:s, s:s, s:b}", "host", viewer->host, "service", viewer->service, "family",
                     viewer->family, "websocket", 0);
}

static bool query_vnc(struct qmp_call *call)
{
    struct vnc_info *info;
    json_t *clients;

    if (!call->c->vnc) {
        call->result = json_pack("{s:b}", "enabled", 0);
        return true;
    }
    info = calloc(1, sizeof(*info));
    if (!info)
        return qmp_fail(call, "out of memory");
    vnc_query(call->c->vnc, info);
    clients = json_array();
    for (size_t i = 0; i < info->viewers; i++)
        json_array_append_new(clients, describe_viewer(&info->viewer[i]));
    call->result = json_pack("{s:b, s:s, s:s, s:o, s:s, s:s}", "enabled", 1, "auth", info->auth, "family",
                             info->server.family, "clients", clients, "service", info->server.service, "host",
                             info->server.host);
    free(info);
    return true;
}

static bool set_password(struct qmp_call *call, const char *password)
{
    if (!call->c->vnc) {
        call->error_class = "DeviceNotActive";
        return qmp_fail(call, "Could not set password: there is no VNC server");
    }
    return vnc_set_password(call->c->vnc, password, &call->err);
}

static bool change_vnc_password(struct qmp_call *call)
{
    return set_password(call, qmp_text(call, "password"));
}

static bool is_vnc(struct qmp_call *call)
{
    return !strcmp(qmp_text(call, "protocol"), "vnc") ||
           qmp_fail(call, "Only the protocol vnc has a password");
}

/* connected: what becomes of the viewers that there are. */
static bool set_display_password(struct qmp_call *call)
{
    const char *connected = qmp_text(call, "connected");
    bool disconnect = connected && !strcmp(connected, "disconnect"),
         fail = connected && !strcmp(connected, "fail");

    if (!is_vnc(call))
        return false;
    if (connected && !disconnect && !fail && strcmp(connected, "keep"))
        return qmp_fail(call, "Parameter 'connected' does not accept value '%.100s'", connected);
    if (fail && call->c->vnc && vnc_viewers(call->c->vnc))
        return qmp_fail(call, "There are viewers, and 'connected' is 'fail'");
    if (!set_password(call, qmp_text(call, "password")))
        return false;
    if (disconnect)
        vnc_disconnect_all(call->c->vnc);
    return true;
}

/* "now", "never", "+SECONDS" from now, or seconds since 1970. */
static bool expiry_time(const char *text, int64_t *at)
{
    char *end;
    long long number;

    if (!strcmp(text, "never") || !strcmp(text, "now")) {
        *at = text[2] == 'v' ? 0 : time(NULL);
        return true;
    }
    errno = 0;
    number = strtoll(text + (text[0] == '+'), &end, 10);
    *at = number + (text[0] == '+' ? time(NULL) : 0);
    return text[0] && !*end && !errno && number > 0 && number < INT64_MAX / 2;
}

static bool expire_password(struct qmp_call *call)
{
    int64_t at;

    if (!is_vnc(call))
        return false;
    if (!expiry_time(qmp_text(call, "time"), &at))
        return qmp_fail(call, "Parameter 'time' is now, never, +SECONDS or seconds since 1970");
    if (!call->c->vnc)
        return set_password(call, NULL);
    return vnc_expire_password(call->c->vnc, at, &call->err);
}

/* ---- the screen ---- */

/* Text, truth or nothing as an option's value. */
static void add_window_option(struct opts *opts, const char *key, json_t *value)
{
    if (value)
        opts_add(opts, key,
                 json_is_string(value) ? json_string_value(value)
                 : json_is_true(value) ? "on"
                                       : "off");
}

/* Opens the window, or brings it back. Whether a new one comes up is in the log: the X server may take its
 * time. */
static bool display_add(struct qmp_call *call)
{
    static const char *const keys[] = {"gl", "show-cursor", "full-screen", "window-close", "grab-mod"};
    const char *type = qmp_text(call, "type");
    struct opts *opts;

    if (strcmp(type, "sdl"))
        return qmp_fail(call, "Parameter 'type' does not accept value '%.40s': sdl is the only one", type);
    opts = opts_new("display_add", type);
    for (size_t i = 0; i < COUNT(keys); i++)
        add_window_option(opts, keys[i], json_object_get(call->args, keys[i]));
    return window_add(call->c, opts, &call->err);
}

static bool qmp_screendump(struct qmp_call *call)
{
    const char *format = qmp_text(call, "format"), *device = qmp_text(call, "device");
    bool png = format && !strcmp(format, "png");

    if (format && !png && strcmp(format, "ppm"))
        return qmp_fail(call, "Parameter 'format' does not accept value '%.100s'", format);
    if (device)
        return qmp_fail(call, "There is one screen only, which needs no 'device'");
    return screendump(call->c->backends.console, qmp_text(call, "filename"), png, &call->err);
}

/* ---- keys ---- */

/* {"type": "qcode", "data": "ret"}, {"type": "number", "data": 28}, or the name alone. False: call->err. */
static bool parse_key(struct qmp_call *call, json_t *key, uint16_t *code)
{
    json_t *data = json_object_get(key, "data");
    const char *type = json_string_value(json_object_get(key, "type")), *name = json_string_value(data);

    if (type && !strcmp(type, "number") && json_is_integer(data)) {
        json_int_t number = json_integer_value(data);

        /* QEMU's numbers: bit 7 stands for the prefix E0. */
        *code = (number & 0x80 ? 0xE000 : 0) | (number & 0x7F);
        return (number > 0 && number < 0x100) || qmp_fail(call, "a key's number is 1 to 255");
    }
    if (!type || strcmp(type, "qcode") || !name)
        return qmp_fail(call,
                        "a key is {\"type\": \"qcode\", \"data\": NAME} or {\"type\": \"number\", ...}");
    *code = key_by_name(name);
    return *code || qmp_fail(call, "there is no key '%.40s'", name);
}

static bool qmp_send_key(struct qmp_call *call)
{
    json_t *keys = json_object_get(call->args, "keys");
    uint16_t codes[KEYS_AT_ONCE];
    size_t count = json_array_size(keys);

    if (count == 0 || count > KEYS_AT_ONCE)
        return qmp_fail(call, "1 to %d keys can be sent at once", KEYS_AT_ONCE);
    for (size_t i = 0; i < count; i++)
        if (!parse_key(call, json_array_get(keys, i), &codes[i]))
            return false;
    keys_press(&call->c->hand, codes, count);
    return true;
}

/* ---- events of every kind ---- */

struct pointer_change {
    int dx, dy, x, y, wheel;
    bool moved, placed, pressed;
};

static bool qmp_pointer_event(struct qmp_call *call, const char *type, json_t *data,
                              struct pointer_change *change)
{
    const char *axis = json_string_value(json_object_get(data, "axis"));
    json_int_t value = json_integer_value(json_object_get(data, "value"));
    bool x = axis && !strcmp(axis, "x");

    if (!axis || (!x && strcmp(axis, "y")) || value < -0x8000 || value > 0x7FFF)
        return qmp_fail(call, "a movement has axis x or y and value -32768 to 32767");
    if (!strcmp(type, "rel")) {
        *(x ? &change->dx : &change->dy) += value;
        change->moved = true;
    } else {
        *(x ? &change->x : &change->y) = value < 0 ? 0 : value;
        change->placed = true;
    }
    return true;
}

static bool button_event(struct qmp_call *call, json_t *data, struct pointer_change *change)
{
    static const struct {
        const char *name;
        unsigned bit;
        int wheel;
    } buttons[] = {{"left", POINTER_LEFT, 0}, {"right", POINTER_RIGHT, 0}, {"middle", POINTER_MIDDLE, 0},
                   {"side", POINTER_SIDE, 0}, {"extra", POINTER_EXTRA, 0}, {"wheel-up", 0, 1},
                   {"wheel-down", 0, -1},     {"wheel-left", 0, 0}, /* no mouse here has such a wheel */
                   {"wheel-right", 0, 0}};
    const char *name = json_string_value(json_object_get(data, "button"));
    bool down = json_is_true(json_object_get(data, "down"));
    struct console_hand *hand = &call->c->hand;

    for (size_t i = 0; name && i < COUNT(buttons); i++)
        if (!strcmp(name, buttons[i].name)) {
            hand->buttons = down ? hand->buttons | buttons[i].bit : hand->buttons & ~buttons[i].bit;
            change->wheel += down ? buttons[i].wheel : 0;
            change->pressed = true;
            return true;
        }
    return qmp_fail(call, "there is no button '%.40s'", name ? name : "");
}

static bool input_event(struct qmp_call *call, json_t *event, struct pointer_change *change)
{
    const char *type = json_string_value(json_object_get(event, "type"));
    json_t *data = json_object_get(event, "data");
    uint16_t code;

    if (type && !strcmp(type, "key")) {
        if (!parse_key(call, json_object_get(data, "key"), &code))
            return false;
        hand_key(&call->c->hand, code, json_is_true(json_object_get(data, "down")));
        return true;
    }
    if (type && !strcmp(type, "btn"))
        return button_event(call, data, change);
    if (type && (!strcmp(type, "rel") || !strcmp(type, "abs")))
        return qmp_pointer_event(call, type, data, change);
    return qmp_fail(call, "an event's type is key, btn, rel or abs");
}

static bool input_send_event(struct qmp_call *call)
{
    struct console *con = call->c->backends.console;
    struct pointer_change change = {.wheel = 0};
    unsigned buttons;
    json_t *event;
    size_t i;

    console_pointer_position(con, &change.x, &change.y);
    json_array_foreach(json_object_get(call->args, "events"), i, event)
    {
        if (!input_event(call, event, &change))
            return false;
    }
    buttons = hand_buttons(&call->c->hand, call->c->hand.buttons);
    if (change.placed)
        console_pointer_absolute(con, change.x, change.y, change.wheel, buttons);
    else if (change.moved)
        console_pointer_relative(con, change.dx, change.dy, change.wheel, buttons);
    else if (change.pressed)
        console_pointer_buttons(con, change.wheel, buttons);
    return true;
}

static bool query_mice(struct qmp_call *call)
{
    const struct console_pointer *current = console_pointers(call->c->backends.console);

    call->result = json_array();
    for (const struct console_pointer *p = current; p; p = p->next)
        json_array_append_new(call->result,
                              json_pack("{s:s, s:i, s:b, s:b}", "name", p->name, "index", (int)p->index,
                                        "current", p == current, "absolute", p->absolute));
    return true;
}

static bool qmp_mouse_sync(struct qmp_call *call)
{
    struct console *con = call->c->backends.console;

    if (console_pointer_is_absolute(con))
        return qmp_fail(call, "the pointer is absolute and cannot drift");
    console_pointer_home(con);
    return true;
}

static const struct qmp_command qmp_console_commands[] = {
    {"query-vnc", NULL, query_vnc},
    {"change-vnc-password", "password:s", change_vnc_password},
    {"set_password", "protocol:s password:s connected:s? display:s?", set_display_password},
    {"expire_password", "protocol:s time:s display:s?", expire_password},
    {"display_add", "type:s gl:b? show-cursor:b? full-screen:b? window-close:s? grab-mod:s?", display_add},
    {"screendump", "filename:s format:s? device:s? head:i?", qmp_screendump},
    {"send-key", "keys:l hold-time:i?", qmp_send_key},
    {"query-mice", NULL, query_mice},
    {"mouse_sync", NULL, qmp_mouse_sync},
    {"input-send-event", "events:l device:s? head:i?", input_send_event},
    {NULL, NULL, NULL},
};
QMP_COMMANDS(qmp_console_commands, NULL)
