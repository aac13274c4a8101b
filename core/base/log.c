#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void log_to_stderr(void *context, enum log_level level, const char *line)
{
    static const char *const prefix[] = {"error: ", "warning: ", "", "debug: "};

    (void)context;
    fprintf(stderr, "%s%s\n", prefix[level], line);
}

static struct {
    log_sink *sink;
    void *context;
    enum log_level level;
} log_state = {log_to_stderr, NULL, LOG_INFO};

void log_set_sink(log_sink *sink, void *context)
{
    log_state.sink = sink != NULL ? sink : log_to_stderr;
    log_state.context = context;
}

void log_set_level(enum log_level level)
{
    log_state.level = level;
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[1024];
    va_list arguments;

    if (level > log_state.level)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    log_state.sink(log_state.context, level, line);
}
