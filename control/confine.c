/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/confine.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Looked up before the chroot, where there may be no user database. */
struct identity {
    uid_t uid;
    gid_t gid;
    char name[64]; /* for its further groups; "": none */
};

static bool confine_look_up(const char *user, struct identity *id, struct error *err)
{
    const struct passwd *entry = getpwnam(user);
    unsigned uid, gid;
    int used = 0;

    if (entry) {
        *id = (struct identity){.uid = entry->pw_uid, .gid = entry->pw_gid};
        snprintf(id->name, sizeof(id->name), "%s", entry->pw_name);
        return true;
    }
    if (sscanf(user, "%u:%u%n", &uid, &gid, &used) == 2 && !user[used]) {
        *id = (struct identity){.uid = uid, .gid = gid};
        return true;
    }
    return error_set(err, "-runas %s: no such user, and not of the form UID:GID", user);
}

static bool become(const struct identity *id, const char *user, struct error *err)
{
    int groups = id->name[0] ? initgroups(id->name, id->gid) : setgroups(1, &id->gid);

    if (groups < 0 || setgid(id->gid) < 0 || setuid(id->uid) < 0)
        return error_set(err, "-runas %s: %s", user, strerror(errno));
    if (id->uid && setuid(0) == 0)
        return error_set(err, "-runas %s: the way back to root is still open", user);
    return true;
}

bool confine_programs(struct error *err)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ||
           error_set(err, "cannot give up the rights of setuid programs: %s", strerror(errno));
}

bool confine(const char *root, const char *user, struct error *err)
{
    struct identity id;

    if (user && !confine_look_up(user, &id, err))
        return false;
    if (root && (chroot(root) < 0 || chdir("/") < 0))
        return error_set(err, "-chroot %s: %s", root, strerror(errno));
    return !user || become(&id, user, err);
}
