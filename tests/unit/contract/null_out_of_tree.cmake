# A vendor's view: install the headers, copy backends/null away, build the copy with nothing else.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT result EQUAL 0)
    string(JOIN " " command ${ARGN})
    message(FATAL_ERROR "${command}:\n${text}")
  endif()
endfunction()

file(REMOVE_RECURSE ${scratch})
run(${CMAKE_COMMAND} --install ${include_build} --prefix ${scratch}/prefix)
file(COPY ${source}/backends/null DESTINATION ${scratch})
file(GLOB_RECURSE package ${scratch}/prefix/llmrun-plugin.pc)
get_filename_component(folder ${package} DIRECTORY)
set(ENV{PKG_CONFIG_PATH} ${folder})
run(${CMAKE_COMMAND} -S ${scratch}/null -B ${scratch}/build -G ${generator} -D CMAKE_C_COMPILER=${compiler}
  -D CMAKE_C_FLAGS=-Werror -D CMAKE_EXPORT_COMPILE_COMMANDS=ON)
run(${CMAKE_COMMAND} --build ${scratch}/build)
run(${CMAKE_COMMAND} --install ${scratch}/build)
file(GLOB_RECURSE plugin ${scratch}/prefix/libllmrun-null.so)
if(NOT plugin MATCHES "/llmrun/libllmrun-null.so$")
  message(FATAL_ERROR "the plugin was not installed into the plugin folder of ${scratch}/prefix")
endif()
# The scratch folder may lie inside the tree, in its build folder.
file(STRINGS ${scratch}/build/compile_commands.json uses
  REGEX "(-I|-isystem )${source}/(include|core|backends|cli|tests|tools)")
if(uses)
  message(FATAL_ERROR "the build outside the tree uses headers of the tree: ${uses}")
endif()
