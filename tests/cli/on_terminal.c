/* on_terminal COMMAND ARGUMENT...: runs a command with its output on a pseudo-terminal and copies what it writes there
 * to standard output. Ends with the command's exit code. */
#include <pty.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char data[4096];
    int terminal, result;
    ssize_t got;
    pid_t child;

    if (argc < 2)
        return 2;
    child = forkpty(&terminal, NULL, NULL, NULL);
    if (child < 0) {
        perror("forkpty");
        return 125;
    }
    if (child == 0) {
        execv(argv[1], argv + 1);
        perror(argv[1]);
        _exit(127);
    }
    /* Reading fails once the command has closed the terminal. */
    while ((got = read(terminal, data, sizeof data)) > 0)
        fwrite(data, 1, (size_t)got, stdout);
    if (waitpid(child, &result, 0) != child)
        return 125;
    return WIFEXITED(result) ? WEXITSTATUS(result) : 128 + WTERMSIG(result);
}
