/* on_terminal COLUMNS LATER COMMAND ARGUMENT...: runs a command with its output on a pseudo-terminal and copies what it
 * writes there to standard output. The terminal has COLUMNS columns, 0 for one that does not say, and LATER of them
 * from the 2,000th byte on. Ends with the command's exit code. */
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct winsize size = {.ws_row = 24};
    char data[4096];
    int terminal, result;
    ssize_t got, seen = 0;
    pid_t child;

    if (argc < 4)
        return 2;
    size.ws_col = (unsigned short)atoi(argv[1]);
    child = forkpty(&terminal, NULL, NULL, &size);
    if (child < 0) {
        perror("forkpty");
        return 125;
    }
    if (child == 0) {
        execv(argv[3], argv + 3);
        perror(argv[3]);
        _exit(127);
    }
    /* Reading fails once the command has closed the terminal. */
    while ((got = read(terminal, data, sizeof data)) > 0) {
        fwrite(data, 1, (size_t)got, stdout);
        if (seen < 2000 && seen + got >= 2000) {
            size.ws_col = (unsigned short)atoi(argv[2]);
            ioctl(terminal, TIOCSWINSZ, &size);
        }
        seen += got;
    }
    if (waitpid(child, &result, 0) != child)
        return 125;
    return WIFEXITED(result) ? WEXITSTATUS(result) : 128 + WTERMSIG(result);
}
