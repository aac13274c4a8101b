# A vendor's view: install the headers, copy backends/null away, build the copy with nothing else.
include(${CMAKE_CURRENT_LIST_DIR}/out_of_tree.cmake)
build_away(${source}/backends/null C null)
