/* Environment variables out of an array like `environ`, so that a test can pass its own. */
#ifndef LLMRUN_DIST_VARIABLES_H
#define LLMRUN_DIST_VARIABLES_H

/* The value of a variable, NULL where it is missing or empty. */
const char *variable_find(char *const *variables, const char *name);

#endif
