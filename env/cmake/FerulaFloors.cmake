# All warnings but two: members that a designated initialiser leaves out have their defaults, and g++ 12 finds
# overlapping copies in the sum of two strings (GCC bug 105651).
set(FERULA_WARNINGS -Wall -Wextra -Wpedantic -Wno-missing-field-initializers -Wno-restrict)

# What belongs to libferula_cuda.so (FerulaCuda.cmake) and not to a floor's library.
set(FERULA_CUDA_SOURCES "/src/(device|ops)/cuda/|/src/comm/nccl_library[^/]*$|/src/app/cuda_backend\\.cpp$")

# Floors that handle texts and files: under sanitizers they are not optimised, which halves their time to build.
set(FERULA_TEXT_FLOORS config interchange storage cluster data checkpoint doctor app)

# ferula_floor(NAME LINK library…): the static library ferula_NAME of every source under src/NAME.
function(ferula_floor name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX ${FERULA_CUDA_SOURCES})
  if(sources)
    add_library(ferula_${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(ferula_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(ferula_${name} ${scope} ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(ferula_${name} ${scope} ${ARG_LINK})
  if(sources)
    target_compile_options(ferula_${name} PRIVATE ${FERULA_WARNINGS})
    if(FERULA_SANITIZE AND name IN_LIST FERULA_TEXT_FLOORS)
      target_compile_options(ferula_${name} PRIVATE -O0)
    endif()
  endif()
endfunction()
