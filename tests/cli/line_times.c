/* line_times FILE COMMAND ARGUMENT...: runs a command and prints each line that it appends to FILE behind the seconds
 * of the monotonic clock at which it was seen there. Ends with the command's exit code. Its own output goes nowhere. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Prints what is new. A part of a line waits for the rest of it. */
static void show(int file)
{
    static char line[1 << 16];
    static size_t length;
    const double seen = now();
    char data[4096];
    ssize_t got;

    while ((got = read(file, data, sizeof data)) > 0)
        for (ssize_t i = 0; i < got; i++) {
            if (data[i] != '\n') {
                if (length < sizeof line)
                    line[length++] = data[i];
                continue;
            }
            printf("%.6f %.*s\n", seen, (int)length, line);
            length = 0;
        }
}

static bool ended(pid_t child, int *result)
{
    return waitpid(child, result, WNOHANG) == child;
}

static int watch(const char *path, pid_t child, int *result)
{
    const struct timespec millisecond = {0, 1000000};
    struct pollfd changes = {.fd = inotify_init1(IN_NONBLOCK), .events = POLLIN};
    char ignored[4096];
    int file;

    while ((file = open(path, O_RDONLY)) < 0) {
        if (ended(child, result))
            return 1;
        nanosleep(&millisecond, NULL);
    }
    if (inotify_add_watch(changes.fd, path, IN_MODIFY) < 0)
        return 1;
    show(file);
    while (!ended(child, result)) {
        poll(&changes, 1, 50);
        while (read(changes.fd, ignored, sizeof ignored) > 0)
            continue;
        show(file);
    }
    show(file);
    return 0;
}

int main(int argc, char **argv)
{
    int result = 0;
    pid_t child;

    if (argc < 3)
        return 2;
    child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);

        dup2(nowhere, STDOUT_FILENO);
        execv(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    /* A clock is to be punctual; where this user may not ask for that, it is as it is. */
    (void)setpriority(PRIO_PROCESS, 0, -10);
    if (child < 0 || watch(argv[1], child, &result) != 0)
        return 125;
    return WIFEXITED(result) ? WEXITSTATUS(result) : 128 + WTERMSIG(result);
}
