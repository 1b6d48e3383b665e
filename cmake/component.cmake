# kevolve_component(NAME [EXECUTABLE] [UNSANITIZED] [RELOCATABLE] SOURCES … [PUBLIC libs…] [PRIVATE libs…]): one target per component; everything is
# PRIVATE unless said. UNSANITIZED: without KEVOLVE_SANITIZE's instrumentation; whoever says it gives the reason. RELOCATABLE: finds its libraries in ../lib
# first, where the agent's package has them. Sources are relative to the caller's folder, includes are written from the project's root ("protocol/graph.hpp").
function(kevolve_component name)
  cmake_parse_arguments(arg "EXECUTABLE;UNSANITIZED;RELOCATABLE" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  if(arg_EXECUTABLE)
    add_executable(${name} ${arg_SOURCES})
  else()
    add_library(${name} STATIC ${arg_SOURCES})
  endif()
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE} kevolve_warnings)
  if(arg_RELOCATABLE) # DT_RPATH, since DT_RUNPATH does not hold for what libraries need themselves
    set_target_properties(${name} PROPERTIES BUILD_RPATH "$ORIGIN/../lib")
    target_link_options(${name} PRIVATE LINKER:--disable-new-dtags)
  endif()
  if(NOT arg_UNSANITIZED)
    target_link_libraries(${name} PRIVATE kevolve_sanitizers)
  endif()
endfunction()

# kevolve_test(NAME SOURCES … [LINK libs…]): one doctest executable, one ctest per executable.
function(kevolve_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  kevolve_component(${name} EXECUTABLE SOURCES ${arg_SOURCES} ${PROJECT_SOURCE_DIR}/tests/main.cpp PRIVATE ${arg_LINK})
  target_compile_definitions(${name} PRIVATE KEVOLVE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 600)
endfunction()
