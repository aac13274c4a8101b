/* What a process is given at its start and cannot rely on: its standard descriptors and the disposition of signals. */
#ifndef LLMRUN_CLI_PROCESS_H
#define LLMRUN_CLI_PROCESS_H

/* Called first in main. Closed descriptors among 0, 1 and 2 become /dev/null: the next file that is opened would get
 * their number, and what is printed would land in it. A write beyond the file size limit fails with EFBIG instead of
 * ending the process. */
void process_start(void);

/* Ends the process with `code`, whatever the destructors of libraries would do that plugins brought along: with little
 * memory some abort, and of a device that hangs they may wait for ever. Builds with sanitizers, which report at the
 * end, skip them for such a device alone. Output is flushed before. */
_Noreturn void process_end(int code);

#endif
