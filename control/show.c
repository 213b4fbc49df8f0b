/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way to the other process is a signal: the kernel checks who may, and nothing has to be listened at. It
 * goes through a pidfd, so that it cannot reach a process that got the number meanwhile.
 */
#include "control/show.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { COMMAND_LINE_MAX = 256 << 10 };

static ssize_t show_read(int proc, const char *name, char *text, size_t size)
{
    int fd = openat(proc, name, O_RDONLY | O_CLOEXEC);
    ssize_t got = 0, length = 0;

    while (fd >= 0 && (got = read(fd, text + length, size - 1 - length)) > 0)
        length += got;
    if (fd >= 0)
        close(fd);
    text[length] = '\0';
    return fd < 0 || got < 0 ? -1 : length;
}

/* Is that text of -name, "NAME" or "guest=NAME", with more behind a comma or not, this name? */
static bool show_is_name(const char *text, const char *name)
{
    size_t length = strlen(name);

    if (!strncmp(text, "guest=", 6))
        text += 6;
    return !strncmp(text, name, length) && (text[length] == '\0' || text[length] == ',');
}

/* The arguments, each ended by 0, have -name NAME; or name is NULL. The first one is an hvm-dm's. */
static bool show_matches(const char *arguments, size_t length, const char *name)
{
    const char *slash = strrchr(arguments, '/'), *program = slash ? slash + 1 : arguments;

    if (strncmp(program, "hvm-dm", 6))
        return false;
    for (const char *at = arguments; name && at < arguments + length; at += strlen(at) + 1) {
        const char *value = at + strlen(at) + 1;

        if ((!strcmp(at, "-name") || !strcmp(at, "--name")) && value < arguments + length &&
            show_is_name(value, name))
            return true;
    }
    return !name;
}

/* It takes the signal; another program would be ended by it. */
static bool show_listens(const char *status)
{
    const char *line = strstr(status, "\nSigBlk:");

    return line && strtoull(line + 8, NULL, 16) >> (SIGUSR1 - 1) & 1;
}

/* Signals the process if it is such a one; *asked counts those. */
static bool show_ask(pid_t pid, const char *name, unsigned *asked, struct error *err)
{
    char path[32], *text = malloc(COMMAND_LINE_MAX);
    int pidfd = syscall(SYS_pidfd_open, pid, 0), proc;
    ssize_t length;
    bool ok = true;

    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    length = text && proc >= 0 && pidfd >= 0 ? show_read(proc, "cmdline", text, COMMAND_LINE_MAX) : -1;
    if (length > 0 && pid != getpid() && show_matches(text, length, name) &&
        show_read(proc, "status", text, COMMAND_LINE_MAX) > 0 && show_listens(text)) {
        ++*asked;
        ok = syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, NULL, 0) == 0 ||
             error_set(err, "process %d: %s", (int)pid, strerror(errno));
    }
    if (pidfd >= 0)
        close(pidfd);
    if (proc >= 0)
        close(proc);
    free(text);
    return ok;
}

static bool show_ask_named(const char *name, unsigned *asked, struct error *err)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    bool ok = true;

    if (!dir)
        return error_set(err, "/proc: %s", strerror(errno));
    while (ok && (entry = readdir(dir))) {
        int pid = atoi(entry->d_name);

        if (pid > 0)
            ok = show_ask(pid, name, asked, err);
    }
    closedir(dir);
    return ok;
}

bool show_window_of(const char *who, struct error *err)
{
    unsigned asked = 0;
    char *end;
    long pid = strtol(who, &end, 10);
    bool ok = true;

    /* A name first: a guest may be called 7. */
    ok = show_ask_named(who, &asked, err);
    if (ok && !asked && !*end && pid > 0)
        ok = show_ask(pid, NULL, &asked, err);
    if (ok && !asked)
        return error_set(err, "-show %s: there is no hvm-dm of that name or number", who);
    return ok || error_prefix(err, "-show %s", who);
}
