# What a user may switch, and the compiler settings that every target shares.
option(LLMRUN_TESTS "Build the tests" ON)
option(LLMRUN_WERROR "Treat warnings as errors" OFF)
set(LLMRUN_SANITIZE "" CACHE STRING "Sanitizers for every target: address, thread or empty")
option(LLMRUN_FUZZ "Build the libFuzzer targets (needs clang)" OFF)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(LLMRUN_PLUGIN_DIR ${CMAKE_BINARY_DIR}/lib/llmrun)
set(LLMRUN_TEST_PLUGIN_DIR ${CMAKE_BINARY_DIR}/lib/llmrun-test)

add_library(llmrun_settings INTERFACE)
target_compile_definitions(llmrun_settings INTERFACE _GNU_SOURCE)
# Contraction is off everywhere: a fused multiply-add is written where it is meant (exact numerics, rule 1).
target_compile_options(llmrun_settings INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith -Wundef
  -ffp-contract=off -fno-math-errno)
if(LLMRUN_WERROR)
  target_compile_options(llmrun_settings INTERFACE -Werror)
endif()
# gcc's guesses about lengths and unset variables go wrong in instrumented code; the release build checks them. Following
# every variable through it for the debugger takes minutes for one file of kernels.
if(NOT LLMRUN_SANITIZE STREQUAL "" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-format-truncation -Wno-stringop-overflow -Wno-maybe-uninitialized
    -fno-var-tracking-assignments)
endif()
if(LLMRUN_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(LLMRUN_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
elseif(NOT LLMRUN_SANITIZE STREQUAL "")
  message(FATAL_ERROR "LLMRUN_SANITIZE is '${LLMRUN_SANITIZE}'; it can be address, thread or empty")
endif()
if(LLMRUN_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()
