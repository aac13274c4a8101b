/* All of the contract in one translation unit, with the note that a plugin carries; compiled by headers.cmake. */
#include <llmrun/backend.h>
#include <llmrun/collective.h>
#include <llmrun/op_check.h>
#include <llmrun/op_rows.h>
#include <llmrun/ops.h>
#include <llmrun/plugin.h>
#include <llmrun/random.h>

LLMRUN_PLUGIN_NOTE(LLMRUN_PLUGIN_BACKEND, "example", "1.0");
