/* Sections on devices that compile graphs. */
#ifndef LLMRUN_RUNTIME_SECTION_PROGRAM_H
#define LLMRUN_RUNTIME_SECTION_PROGRAM_H

#include "runtime/section.h"

/* Builds one device program from the section: placed values are bound, the others internal. */
int section_program_create(struct device *device, const struct compiled *compiled, const struct section *section,
                           const struct arena *arena, struct prepared_section *prepared, struct error *error);

/* Workspace that the device wants for each section, the largest of them, known only after building; for the memory
 * plan. */
int section_program_workspace(struct device *device, const struct compiled *compiled, int64_t *bytes,
                              struct error *error);

#endif
