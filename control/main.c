/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process: options, the machine, signals, the end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "block/block.h"
#include "char/chardev.h"
#include "console/console.h"
#include "control/backend_state.h"
#include "control/build.h"
#include "control/command_line.h"
#include "control/confine.h"
#include "control/display.h"
#include "control/fdset.h"
#include "control/hotplug.h"
#include "control/migrate.h"
#include "control/nodes.h"
#include "control/qmp.h"
#include "control/window.h"
#include "net/net.h"

/* ---- events of the machine, told to QMP clients ---- */

static void main_machine_event(void *opaque, enum machine_event event, bool guest_asked)
{
    struct control *c = opaque;
    const char *host = c->shutdown_reason ? c->shutdown_reason : "host-signal";

    switch (event) {
    case EVENT_RESET:
        qmp_event(c, "RESET",
                  json_pack("{s:b, s:s}", "guest", guest_asked, "reason",
                            guest_asked ? "guest-reset" : "host-qmp-system-reset"));
        break;
    case EVENT_SHUTDOWN:
        qmp_event(
            c, "SHUTDOWN",
            json_pack("{s:b, s:s}", "guest", guest_asked, "reason", guest_asked ? "guest-shutdown" : host));
        break;
    case EVENT_STOP:
        qmp_event(c, "STOP", NULL);
        break;
    case EVENT_RESUME:
        qmp_event(c, "RESUME", NULL);
        net_resume_all(c->backends.nets);
        for (struct block *b = c->backends.blocks; b; b = block_next(b))
            block_retry(b);
        break;
    case EVENT_SUSPEND:
        qmp_event(c, "SUSPEND", NULL);
        break;
    case EVENT_WAKEUP:
        qmp_event(c, "WAKEUP", NULL);
        break;
    case EVENT_RTC_CHANGE:
        qmp_event(c, "RTC_CHANGE", json_pack("{s:I}", "offset", (json_int_t)c->m.rtc_change));
        break;
    default: /* QMP has none of that name, or it told of it where it caused it */
        break;
    }
    window_machine_event(c, event);
}

/* ---- signals ---- */

/* SIGINT and SIGTERM end the process in good order, by way of the loop; SIGHUP (libxl's) ends it at once;
 * SIGUSR1 is -show's. */
static void signal_ready(void *opaque, uint32_t events)
{
    struct control *c = opaque;
    struct signalfd_siginfo info;

    if (read(c->signals.fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo == SIGUSR1)
        window_show_asked(c);
    else
        machine_request_shutdown(&c->m, false);
}

static int open_signals(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a failed write */
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL); /* before any thread starts: none of them takes these */
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* ---- going to the background ---- */

/* The parent waits for a byte that says that all is well, and ends as its child does without it. Returns in
 * the child. */
static int fork_daemon(void)
{
    int pipe_fds[2];
    char ok = 1;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -1;
    switch (fork()) {
    case -1:
        return -1;
    case 0:
        close(pipe_fds[0]);
        setsid();
        return pipe_fds[1];
    default:
        close(pipe_fds[1]);
        _exit(read(pipe_fds[0], &ok, 1) == 1 ? ok : 1);
    }
}

static void release_parent(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    char ok = 0;

    for (int i = 0; null >= 0 && i < 3; i++)
        dup2(null, i);
    if (write(fd, &ok, 1) != 1)
        log_line("the parent process is gone");
    close(fd);
}

static bool write_pidfile(const char *path, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool ok = fd >= 0 && dprintf(fd, "%d\n", (int)getpid()) > 0;

    if (!ok)
        error_set(err, "-pidfile %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}

/* ---- the whole ---- */

static void tear_down(struct control *c)
{
    machine_pause(&c->m);
    monitors_close(c);
    window_stop(c);
    fdsets_drop(c);
    if (c->vnc)
        vnc_stop(c->vnc);
    if (c->m.accel && c->m.accel->stop)
        c->m.accel->stop(&c->m);
    if (c->options.pidfile && c->pidfile_written)
        unlink(c->options.pidfile);
}

static void free_parts(struct control *c)
{
    struct block *blocks;
    struct chardev *chardevs;
    struct net_port *nets;

    machine_free_devices(&c->m);
    backend_state_free(c);
    free(c->incoming_text);
    while ((blocks = c->backends.blocks)) {
        c->backends.blocks = block_next(blocks);
        block_close(blocks);
    }
    nodes_close(c);
    while ((chardevs = c->backends.chardevs)) {
        c->backends.chardevs = chardev_next(chardevs);
        chardev_close(chardevs);
    }
    while ((nets = c->backends.nets)) {
        c->backends.nets = nets->next;
        net_close(nets);
    }
    if (c->backends.console)
        console_free(c->backends.console);
    machine_destroy(&c->m);
}

static bool main_start(struct control *c, struct error *err)
{
    struct options *o = &c->options;
    int signal_fd = open_signals();

    if (o->process_name)
        prctl(PR_SET_NAME, o->process_name);
    if (!build_machine(c, err))
        return false;
    if (signal_fd < 0 || !loop_watch(&c->m.loop, &c->signals, signal_fd, EPOLLIN, signal_ready, c))
        return error_set(err, "cannot watch signals: %s", strerror(errno));
    c->listener = (struct machine_listener){.events = UINT32_MAX, .event = main_machine_event, .opaque = c};
    machine_listen(&c->m, &c->listener);
    c->m.device_deleted = hotplug_device_deleted;
    c->m.device_deleted_opaque = c;
    if (o->pidfile && !(c->pidfile_written = write_pidfile(o->pidfile, err)))
        return false;
    /* Before the chroot: what is given up becomes /dev/null, which is not in an empty root. */
    if (o->config.xen_restrict && !c->m.accel->restrict_self(&c->m, err))
        return false;
    return confine(o->chroot, o->run_as, err);
}

static void __attribute__((noreturn)) main_exit(const struct control *c, int status)
{
    if (c->window_left)
        _exit(status);
    exit(status);
}

int main(int argc, char **argv)
{
    static struct control control; /* large, and to be found by whoever looks for leaks */
    struct control *c = &control;
    struct error err = {.text = ""};
    int parent = -1;

    json_set_alloc_funcs(malloc, qmp_free_wiped);
    if (!command_line_parse(&c->options, argc, argv, &err)) {
        fprintf(stderr, "hvm-dm: %s\n", err.text);
        return 1;
    }
    if (c->options.nothing_to_run)
        return 0;
    if (c->options.daemonize && (parent = fork_daemon()) < 0) {
        log_line("-daemonize: %s", strerror(errno));
        return 1;
    }
    if (!main_start(c, &err)) {
        log_line("%s", err.text);
        tear_down(c);
        main_exit(c, 1); /* what half a machine holds, the kernel takes back */
    }
    display_tell_port(c);
    if (parent >= 0)
        release_parent(parent);
    if (c->options.start_paused || c->m.state == RUN_INMIGRATE || migrate_go_on(c, &err)) {
        loop_run(&c->m.loop);
    } else {
        log_line("%s", err.text);
        c->m.exit_status = 1;
    }
    tear_down(c);
    free_parts(c);
    return c->m.loop.failed ? 1 : c->m.exit_status;
}
