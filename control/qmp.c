/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP: JSON objects both ways over a line. Input is a stream: an object ends where its braces do, newlines
 * mean nothing. Output ends each message with CR LF (libxl splits on that pair and on nothing else).
 */
#include "control/qmp.h"

#include <ctype.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    INPUT_MAX = 64 * 1024, /* bytes of one command */
    DEPTH_MAX = 64,        /* braces and brackets inside each other */
};

static struct qmp_table *tables; /* of commands, written before main only */

void qmp_register(struct qmp_table *table)
{
    table->next = tables;
    tables = table;
}

const struct qmp_table *qmp_next_table(const struct qmp_table *table)
{
    return table ? table->next : tables;
}

/* ---- output ---- */

static void send_json(struct monitor *mon, json_t *message)
{
    char *text = json_dumps(message, mon->qmp.pretty ? JSON_INDENT(4) : 0);
    size_t length = text ? strlen(text) : 0;

    if (text && (text = realloc(text, length + 3))) {
        memcpy(text + length, "\r\n", 2);
        chardev_write(mon->chr, (const uint8_t *)text, length + 2);
    }
    free(text);
    json_decref(message);
}

static json_t *error_reply(const char *error_class, const char *text)
{
    return json_pack("{s:{s:s, s:s}}", "error", "class", error_class ? error_class : "GenericError", "desc",
                     text);
}

static void greet(struct monitor *mon)
{
    struct qmp_call call = {.c = mon->c, .monitor = mon};

    qmp_run(&call, "query-version");
    send_json(mon, json_pack("{s:{s:o, s:[]}}", "QMP", "version", call.result, "capabilities"));
}

void qmp_event(struct control *c, const char *name, json_t *data)
{
    struct timespec now;
    json_t *event;

    clock_gettime(CLOCK_REALTIME, &now);
    event = json_pack("{s:{s:I, s:I}, s:s}", "timestamp", "seconds", (json_int_t)now.tv_sec, "microseconds",
                      (json_int_t)now.tv_nsec / 1000, "event", name);
    if (data)
        json_object_set_new(event, "data", data);
    for (struct monitor *mon = c->monitors; mon; mon = mon->next)
        if (mon->kind == &qmp_monitor && mon->qmp.negotiated && !mon->qmp.quiet &&
            chardev_connected(mon->chr))
            send_json(mon, json_incref(event));
    json_decref(event);
}

/* ---- commands ---- */

bool qmp_fail(struct qmp_call *call, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(call->err.text, sizeof(call->err.text), fmt, ap);
    va_end(ap);
    return false;
}

const char *qmp_text(const struct qmp_call *call, const char *name)
{
    return json_string_value(json_object_get(call->args, name));
}

bool qmp_truth(const struct qmp_call *call, const char *name, bool missing)
{
    json_t *value = json_object_get(call->args, name);

    return value ? json_is_true(value) : missing;
}

int64_t qmp_integer(const struct qmp_call *call, const char *name, int64_t missing)
{
    json_t *value = json_object_get(call->args, name);

    if (json_is_string(value))
        return strtoll(json_string_value(value), NULL, 0);
    return value ? json_integer_value(value) : missing;
}

/* Finds "name:" in the list of arguments; its type letter and the character after it, NULL: not there. */
static const char *find_arg(const char *args, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = args; at && *at; at += strcspn(at, " "), at += strspn(at, " "))
        if (!strncmp(at, name, length) && at[length] == ':')
            return at + length + 1;
    return NULL;
}

static const char *type_mismatch(char type, const json_t *value)
{
    switch (type) {
    case 's':
        return json_is_string(value) ? NULL : "string";
    case 'i':
        return json_is_integer(value) ? NULL : "integer";
    case 'n':
        return json_is_integer(value) || json_is_string(value) ? NULL : "integer";
    case 'b':
        return json_is_boolean(value) ? NULL : "boolean";
    case 'l':
        return json_is_array(value) ? NULL : "array";
    case 'o':
        return json_is_object(value) ? NULL : "object";
    default:
        return NULL;
    }
}

static bool check_args(struct qmp_call *call, const struct qmp_command *command)
{
    const char *key;
    json_t *value;

    if (command->args && !strcmp(command->args, "*"))
        return true;
    json_object_foreach(call->args, key, value)
    {
        const char *type = find_arg(command->args, key), *wanted;

        if (!type)
            return qmp_fail(call, "Parameter '%.100s' is unexpected", key);
        wanted = type_mismatch(*type, value);
        if (wanted)
            return qmp_fail(call, "Invalid parameter type for '%s', expected: %s", key, wanted);
    }
    for (const char *at = command->args; at && *at; at += strcspn(at, " "), at += strspn(at, " ")) {
        char name[64];

        snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, ":"), at);
        if (at[strlen(name) + 2] != '?' && !json_object_get(call->args, name))
            return qmp_fail(call, "Parameter '%s' is missing", name);
    }
    return true;
}

static const struct qmp_command *qmp_find_command(const char *name)
{
    for (const struct qmp_table *table = tables; table; table = table->next)
        for (const struct qmp_command *command = table->commands; command->name; command++)
            if (!strcmp(command->name, name))
                return command;
    return NULL;
}

bool qmp_run(struct qmp_call *call, const char *name)
{
    const struct qmp_command *command = qmp_find_command(name);

    if (!command) {
        call->error_class = "CommandNotFound";
        return qmp_fail(call, "The command %.100s has not been found", name);
    }
    return check_args(call, command) && command->run(call);
}

static bool negotiate(struct qmp_call *call, const char *name)
{
    struct monitor *mon = call->monitor;
    bool capabilities = !strcmp(name, "qmp_capabilities");

    if (capabilities == !mon->qmp.negotiated) {
        mon->qmp.negotiated = true;
        return true;
    }
    call->error_class = "CommandNotFound";
    if (capabilities)
        return qmp_fail(call, "Capabilities negotiation is already complete, command ignored");
    return qmp_fail(call, "Expecting capabilities negotiation with 'qmp_capabilities'");
}

static bool check_request(struct qmp_call *call, json_t *request)
{
    const char *key;
    json_t *value;

    if (!json_is_object(request))
        return qmp_fail(call, "QMP input must be a JSON object");
    json_object_foreach(request, key, value)
    {
        if (!strcmp(key, "execute") && !json_is_string(value))
            return qmp_fail(call, "QMP input member 'execute' must be a string");
        if (!strcmp(key, "arguments") && !json_is_object(value))
            return qmp_fail(call, "QMP input member 'arguments' must be an object");
        if (strcmp(key, "execute") && strcmp(key, "arguments") && strcmp(key, "id"))
            return qmp_fail(call, "QMP input member '%.100s' is unexpected", key);
    }
    return json_object_get(request, "execute") || qmp_fail(call, "QMP input lacks member 'execute'");
}

static void serve_request(struct monitor *mon, json_t *request)
{
    struct qmp_call call = {.c = mon->c, .monitor = mon, .args = json_object_get(request, "arguments")};
    json_t *id = json_object_get(request, "id"), *reply;
    const char *name = json_string_value(json_object_get(request, "execute"));
    bool ok = check_request(&call, request) && negotiate(&call, name) &&
              (!strcmp(name, "qmp_capabilities") || qmp_run(&call, name));

    if (ok) {
        reply = json_pack("{s:o}", "return", call.result ? call.result : json_object());
    } else {
        json_decref(call.result);
        reply = error_reply(call.error_class, call.err.text);
    }
    if (!reply) /* what a message quotes was no UTF-8 */
        reply = error_reply(NULL, "out of memory, or bytes that are no text");
    if (id)
        json_object_set(reply, "id", id);
    send_json(mon, reply);
}

void qmp_free_wiped(void *memory)
{
    if (memory)
        explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

static void serve_text(struct monitor *mon)
{
    json_error_t why;
    json_t *request = json_loadb(mon->input, mon->length, JSON_REJECT_DUPLICATES, &why);

    explicit_bzero(mon->input, mon->length); /* it may have been a password */
    mon->length = 0;
    if (request)
        serve_request(mon, request);
    else
        send_json(mon, error_reply(NULL, "JSON parse error, invalid syntax"));
    json_decref(request);
}

/* ---- input ---- */

static void qmp_refuse(struct monitor *mon, enum qmp_scan next, const char *why)
{
    mon->length = 0;
    mon->qmp.scan = next;
    send_json(mon, error_reply(NULL, why));
}

static void scan_between(struct monitor *mon, char ch)
{
    if (isspace((unsigned char)ch))
        return;
    if (ch != '{' && ch != '[') {
        qmp_refuse(mon, SCAN_STRAY, "JSON parse error, expecting value");
        return;
    }
    monitor_store(mon, ch, INPUT_MAX);
    mon->qmp.depth = 1;
    mon->qmp.scan = SCAN_OBJECT;
}

/* What stands outside of texts: signs, numbers, true, false, null; and ', which the parser refuses later. */
static bool is_json(char ch)
{
    return ch && (isspace((unsigned char)ch) || isalnum((unsigned char)ch) || strchr("{}[]:,\"+-.'", ch));
}

static void scan_object(struct monitor *mon, char ch)
{
    if (!is_json(ch)) {
        qmp_refuse(mon, SCAN_SKIP, "JSON parse error, stray character");
        return;
    }
    if (!monitor_store(mon, ch, INPUT_MAX)) {
        qmp_refuse(mon, SCAN_SKIP, "JSON token size limit exceeded");
        return;
    }
    if (ch == '"')
        mon->qmp.scan = SCAN_STRING;
    if ((ch == '{' || ch == '[') && ++mon->qmp.depth > DEPTH_MAX) {
        qmp_refuse(mon, SCAN_SKIP, "JSON nesting depth limit exceeded");
        return;
    }
    if ((ch == '}' || ch == ']') && --mon->qmp.depth == 0) {
        mon->qmp.scan = SCAN_BETWEEN;
        serve_text(mon);
    }
}

/* A control character, a byte that UTF-8 does not have, an escape that JSON does not have. */
static bool is_bad_in_string(const struct monitor *mon, unsigned char ch)
{
    if (mon->qmp.scan == SCAN_ESCAPE)
        return !ch || !strchr("\"\\/bfnrtu", ch);
    return ch < 0x20 || ch == 0xC0 || ch == 0xC1 || ch > 0xF4;
}

static void scan_string(struct monitor *mon, char ch)
{
    if (is_bad_in_string(mon, ch))
        qmp_refuse(mon, ch == '\n' ? SCAN_BETWEEN : SCAN_SKIP, "JSON parse error, invalid string");
    else if (!monitor_store(mon, ch, INPUT_MAX))
        qmp_refuse(mon, SCAN_SKIP, "JSON token size limit exceeded");
    else if (mon->qmp.scan == SCAN_ESCAPE)
        mon->qmp.scan = SCAN_STRING;
    else if (ch == '\\')
        mon->qmp.scan = SCAN_ESCAPE;
    else if (ch == '"')
        mon->qmp.scan = SCAN_OBJECT;
}

static void qmp_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct monitor *mon = opaque;

    for (size_t i = 0; i < length; i++)
        switch (mon->qmp.scan) {
        case SCAN_BETWEEN:
            scan_between(mon, data[i]);
            break;
        case SCAN_OBJECT:
            scan_object(mon, data[i]);
            break;
        case SCAN_STRING:
        case SCAN_ESCAPE:
            scan_string(mon, data[i]);
            break;
        case SCAN_STRAY:
            if (data[i] == '\n' || data[i] == '{')
                mon->qmp.scan = SCAN_BETWEEN;
            if (data[i] == '{')
                scan_between(mon, data[i]);
            break;
        case SCAN_SKIP:
            if (data[i] == '\n')
                mon->qmp.scan = SCAN_BETWEEN;
        }
}

static void reset_session(struct monitor *mon)
{
    mon->qmp.negotiated = false;
    mon->qmp.scan = SCAN_BETWEEN;
    mon->length = mon->qmp.depth = 0;
}

static void qmp_opened(void *opaque)
{
    struct monitor *mon = opaque;

    reset_session(mon);
    greet(mon);
}

bool qmp_connected(const struct control *c)
{
    for (const struct monitor *mon = c->monitors; mon; mon = mon->next)
        if (mon->kind == &qmp_monitor && chardev_connected(mon->chr))
            return true;
    return false;
}

static void qmp_closed(void *opaque)
{
    struct monitor *mon = opaque;

    reset_session(mon);
    for (const struct qmp_table *table = tables; table && !qmp_connected(mon->c); table = table->next)
        if (table->clients_left)
            table->clients_left(mon->c);
}

const struct monitor_kind qmp_monitor = {.receive = qmp_receive, .opened = qmp_opened, .closed = qmp_closed};
