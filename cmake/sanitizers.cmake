# KEVOLVE_SANITIZE: "" | "address,undefined" | "thread"
set(KEVOLVE_SANITIZE "" CACHE STRING "sanitizers for our own targets")
add_library(kevolve_sanitizers INTERFACE)
if(KEVOLVE_SANITIZE)
  target_compile_options(kevolve_sanitizers INTERFACE -fsanitize=${KEVOLVE_SANITIZE} -fno-omit-frame-pointer -g1 -O1 -fno-sanitize-recover=all)
  target_link_options(kevolve_sanitizers INTERFACE -fsanitize=${KEVOLVE_SANITIZE})
endif()
