/* Lines for people, on stderr. Levels follow `log.level`. A library function logs only what no return value can carry:
 * a warning, a decision taken. Errors are returned, not logged. */
#ifndef LLMRUN_BASE_LOG_H
#define LLMRUN_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Receives each line that passes the level, without a newline. */
typedef void log_sink(void *context, enum log_level level, const char *line);

/* Sets where lines go and which pass. NULL restores stderr. Call before threads start. */
void log_set_sink(log_sink *sink, void *context);
void log_set_level(enum log_level level);

/* Where lines go at first, for a sink that does more besides. */
void log_to_stderr(void *context, enum log_level level, const char *line);

/* Any thread. Lines over 1,000 characters are cut. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
