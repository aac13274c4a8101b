# For the tests that stand where a vendor stands, with the installed headers and nothing else. `scratch` is their folder.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT result EQUAL 0)
    string(JOIN " " command ${ARGN})
    message(FATAL_ERROR "${command}:\n${text}")
  endif()
endfunction()

# build_away(FOLDER C|CXX NAME): installs the headers, copies the folder away, builds the copy and installs it. `plugin` is
# then where libllmrun-NAME.so is.
function(build_away folder language name)
  file(REMOVE_RECURSE ${scratch})
  run(${CMAKE_COMMAND} --install ${include_build} --prefix ${scratch}/prefix)
  file(COPY ${folder}/ DESTINATION ${scratch}/copy)
  file(GLOB_RECURSE package ${scratch}/prefix/llmrun-plugin.pc)
  get_filename_component(package ${package} DIRECTORY)
  set(ENV{PKG_CONFIG_PATH} ${package})
  run(${CMAKE_COMMAND} -S ${scratch}/copy -B ${scratch}/build -G ${generator} -D CMAKE_${language}_COMPILER=${compiler}
    -D CMAKE_${language}_FLAGS=-Werror -D CMAKE_EXPORT_COMPILE_COMMANDS=ON)
  run(${CMAKE_COMMAND} --build ${scratch}/build)
  run(${CMAKE_COMMAND} --install ${scratch}/build)
  file(GLOB_RECURSE plugin ${scratch}/prefix/libllmrun-${name}.so)
  if(NOT plugin MATCHES "/llmrun/libllmrun-${name}.so$")
    message(FATAL_ERROR "the plugin was not installed into the plugin folder of ${scratch}/prefix")
  endif()
  # The scratch folder may lie inside the tree, in its build folder.
  file(STRINGS ${scratch}/build/compile_commands.json uses
    REGEX "(-I|-isystem )${source}/(include|core|backends|cli|tests|tools)")
  if(uses)
    message(FATAL_ERROR "the build outside the tree uses headers of the tree: ${uses}")
  endif()
  set(plugin ${plugin} PARENT_SCOPE)
endfunction()
