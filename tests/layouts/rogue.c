/* A stranger at the doors of a job: `rogue FOLDER PROCESS...` connects to every TCP port at which one of the processes
 * listens, and to FOLDER/.control, and sends what does not belong there, until the processes are gone. Prints how many
 * ports there were, then how many connections of each kind they took, then the same of FOLDER/.control:
 *
 *   random   4 KiB of random bytes
 *   secret   a handshake of the control channel with another secret
 *   replay   the first bytes of an earlier connection of its own, and what the door answered to them
 *   flood    connections that say nothing and stay */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dist/handshake.h"
#include "dist/secret.h"
#include "dist/sockets.h"

#define PORTS   64
#define FLOOD   200
#define KIND_MS 10

static unsigned seed = 7;
static int64_t taken[2][4]; /* at ports, at the socket of the folder */

static int64_t in_ms(int64_t milliseconds)
{
    return clock_system.monotonic_ns(&clock_system) + milliseconds * 1000000;
}

static void add_port(unsigned port, int *ports, int *count)
{
    for (int i = 0; i < *count; i++)
        if (ports[i] == (int)port)
            return;
    if (*count < PORTS)
        ports[(*count)++] = (int)port;
}

/* The port of a listening socket, by its inode. */
static void find_port(unsigned long inode, const char *table, int *ports, int *count)
{
    FILE *file = fopen(table, "r");
    char line[512];

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        unsigned long found;
        unsigned port, state;

        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu", &port, &state,
                   &found) == 3 &&
            state == 10 && found == inode)
            add_port(port, ports, count);
    }
    if (file != NULL)
        fclose(file);
}

/* What a process listens at. */
static void find_ports(const char *process, int *ports, int *count)
{
    char folder[64], link[512], target[64];
    DIR *entries;

    snprintf(folder, sizeof folder, "/proc/%.20s/fd", process);
    entries = opendir(folder);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        unsigned long inode;
        ssize_t length;

        snprintf(link, sizeof link, "%s/%s", folder, entry->d_name);
        length = readlink(link, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        if (sscanf(target, "socket:[%lu]", &inode) != 1)
            continue;
        find_port(inode, "/proc/net/tcp", ports, count);
        find_port(inode, "/proc/net/tcp6", ports, count);
    }
    if (entries != NULL)
        closedir(entries);
}

/* A door: a port of this machine, or the socket of a folder. */
static int knock(int port, const char *folder)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct error error;
    int door;

    if (port > 0)
        return socket_connect("127.0.0.1", port, in_ms(1000), &clock_system, &door, &error) == STATUS_OK ? door : -1;
    snprintf(address.sun_path, sizeof address.sun_path, "%.90s/.control", folder);
    door = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(door, (struct sockaddr *)&address, sizeof address) != 0) {
        close(door);
        return -1;
    }
    return door;
}

static ssize_t say(int door, const void *bytes, size_t count)
{
    return send(door, bytes, count, MSG_NOSIGNAL);
}

static void say_random(int door)
{
    unsigned char bytes[4096];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)rand_r(&seed);
    say(door, bytes, sizeof bytes);
    usleep(1000 * KIND_MS);
    close(door);
}

static void say_secret(int door)
{
    uint8_t key[SHA256_BYTES];
    struct connection connection;
    bool proved;

    secret_key("another secret of a stranger here", key);
    if (handshake_offer(door, key, 1, 2, in_ms(KIND_MS), &clock_system, &connection, &proved) == HANDSHAKE_GOOD) {
        printf("a stranger was let in\n");
        connection_finish(&connection);
        return;
    }
    close(door);
}

static void say_replay(int door)
{
    /* Its magic, then rank 1; the rest is 0. */
    static unsigned char earlier[HELLO_BYTES + 512] = "llmrun control \001\001";
    static ssize_t length = HELLO_BYTES;
    ssize_t got;

    say(door, earlier, (size_t)length);
    usleep(1000 * KIND_MS);
    got = recv(door, earlier + HELLO_BYTES, 512, MSG_DONTWAIT);
    length = HELLO_BYTES + (got > 0 ? got : 0);
    say(door, earlier, (size_t)length);
    close(door);
}

static void flood(int port, const char *folder)
{
    int doors[FLOOD], count = 0;

    while (count < FLOOD && (doors[count] = knock(port, folder)) >= 0)
        count++;
    taken[port == 0][3] += count;
    usleep(1000 * KIND_MS);
    while (count > 0)
        close(doors[--count]);
}

static void disturb(int port, const char *folder)
{
    static void (*const kinds[])(int door) = {say_random, say_secret, say_replay};

    for (int kind = 0; kind < 3; kind++) {
        const int door = knock(port, folder);

        if (door < 0)
            return;
        taken[port == 0][kind]++;
        kinds[kind](door);
    }
    flood(port, folder);
}

static bool alive(const char *process)
{
    return kill((pid_t)strtol(process, NULL, 10), 0) == 0;
}

int main(int argc, char **argv)
{
    bool any = true;
    int ports[PORTS], every[PORTS], every_count = 0;

    if (argc < 3)
        return 2;
    while (any) {
        int count = 0;

        any = false;
        for (int i = 2; i < argc; i++) {
            any |= alive(argv[i]);
            find_ports(argv[i], ports, &count);
        }
        for (int i = 0; i < count; i++) {
            add_port((unsigned)ports[i], every, &every_count);
            disturb(ports[i], argv[1]);
        }
        disturb(0, argv[1]);
        usleep(1000);
    }
    printf("%d ports", every_count);
    for (int i = 0; i < 8; i++)
        printf(" %lld", (long long)taken[i / 4][i % 4]);
    printf("\n");
    return 0;
}
