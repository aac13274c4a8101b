# The three kinds of target in this tree: a module of the core, a plugin, and a test.

# llmrun_module(NAME SOURCES file... DEPENDS module-or-library...)
# One folder of core/ as a static library. DEPENDS is the row of the dependency table (docs/architecture.md).
function(llmrun_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(llmrun_${name} STATIC ${arg_SOURCES})
  target_include_directories(llmrun_${name} PUBLIC ${PROJECT_SOURCE_DIR}/core)
  target_link_libraries(llmrun_${name} PUBLIC llmrun_contract ${arg_DEPENDS} PRIVATE llmrun_settings)
endfunction()

# llmrun_plugin(NAME [TEST] SOURCES file... LIBRARIES library...)
# A shared object libllmrun-NAME.so that exports one symbol. TEST plugins go to a folder of their own and are never installed.
function(llmrun_plugin name)
  cmake_parse_arguments(arg "TEST" "" "SOURCES;LIBRARIES" ${ARGN})
  set(target llmrun-plugin-${name})
  add_library(${target} MODULE ${arg_SOURCES})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME llmrun-${name} PREFIX lib)
  target_link_libraries(${target} PRIVATE llmrun_contract llmrun_settings ${arg_LIBRARIES})
  target_link_options(${target} PRIVATE
    -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/plugin.version -Wl,--no-undefined)
  set_target_properties(${target} PROPERTIES LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/plugin.version)
  if(arg_TEST)
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${LLMRUN_TEST_PLUGIN_DIR})
  else()
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${LLMRUN_PLUGIN_DIR})
    install(TARGETS ${target} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/llmrun)
  endif()
endfunction()

# llmrun_test(NAME SOURCES file... LIBRARIES library...)
# A cmocka program, run by ctest under its own name. The label says that the build with sanitizers runs it too.
function(llmrun_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(test_${name} ${arg_SOURCES})
  target_link_libraries(test_${name} PRIVATE ${arg_LIBRARIES} PkgConfig::CMOCKA llmrun_settings)
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/unit)
  set_target_properties(test_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_compile_definitions(test_${name} PRIVATE
    LLMRUN_SOURCE_DIR="${PROJECT_SOURCE_DIR}" LLMRUN_BUILD_DIR="${CMAKE_BINARY_DIR}")
  add_test(NAME ${name} COMMAND test_${name})
  set_tests_properties(${name} PROPERTIES LABELS sanitize)
endfunction()

# llmrun_feature(NAME STATE REASON): a line of the summary that configuring ends with.
function(llmrun_feature name state reason)
  set_property(GLOBAL APPEND PROPERTY LLMRUN_FEATURES "${name}: ${state} (${reason})")
endfunction()

function(llmrun_print_summary)
  get_property(features GLOBAL PROPERTY LLMRUN_FEATURES)
  message(STATUS "llmrun ${PROJECT_VERSION}, ${CMAKE_BUILD_TYPE}")
  foreach(line IN LISTS features)
    message(STATUS "  ${line}")
  endforeach()
endfunction()
