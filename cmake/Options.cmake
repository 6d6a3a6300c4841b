set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
# -g1 keeps line numbers for back traces at a third of the object size.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g1")

option(HIGGS_BUILD_FUZZERS "Build the libFuzzer targets (needs clang)" OFF)
option(HIGGS_BUILD_BENCHMARKS "Build the micro benchmarks" ON)
option(HIGGS_UNITY "Compile a dozen files of a module as one: a third of the time from nothing, more after a change in one" ON)
set(HIGGS_SANITIZER "" CACHE STRING "address (with undefined), thread, or empty")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # Precompiled headers are cacheable only with these; ccache(1), "Precompiled headers".
  set(higgs_ccache ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE_PROGRAM})
  set(CMAKE_C_COMPILER_LAUNCHER ${higgs_ccache})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${higgs_ccache})
endif()
