add_library(kevolve_warnings INTERFACE)
target_compile_options(kevolve_warnings INTERFACE -Wall -Wextra -Wpedantic -Wno-missing-field-initializers -Wno-restrict)
