# The CUDA backend: libferula_cuda.so, beside the program, which opens it when a GPU is wanted. It holds every source of
# src/device/cuda, src/ops/cuda, src/comm/nccl_library* and src/app/cuda_backend.cpp: a new file there needs no change here.
set(FERULA_CUDA AUTO CACHE STRING "The CUDA backend: ON, OFF, or AUTO (built where nvcc is found)")
set_property(CACHE FERULA_CUDA PROPERTY STRINGS AUTO ON OFF)
set(FERULA_CUDA_ARCHITECTURES "80;86;89;90" CACHE STRING "Compute capabilities with code of their own in the backend")

find_program(FERULA_NVCC nvcc HINTS ${CUDAToolkit_ROOT} $ENV{CUDAToolkit_ROOT} $ENV{CUDA_HOME} /usr/local/cuda
             PATH_SUFFIXES bin)
if(FERULA_CUDA STREQUAL "ON" AND NOT FERULA_NVCC)
  message(FATAL_ERROR "FERULA_CUDA=ON needs nvcc: set CUDAToolkit_ROOT to the CUDA toolkit, or FERULA_CUDA=OFF")
endif()
if(NOT FERULA_CUDA OR NOT FERULA_NVCC)
  message(STATUS "CUDA backend: not built (FERULA_CUDA=${FERULA_CUDA}, nvcc: ${FERULA_NVCC})")
  return()
endif()

# The newest architecture also keeps PTX, which later GPUs compile when they load it.
set(CMAKE_CUDA_ARCHITECTURES ${FERULA_CUDA_ARCHITECTURES})
list(POP_BACK CMAKE_CUDA_ARCHITECTURES newest)
list(TRANSFORM CMAKE_CUDA_ARCHITECTURES APPEND -real)
list(APPEND CMAKE_CUDA_ARCHITECTURES ${newest})

set(CMAKE_CUDA_COMPILER ${FERULA_NVCC})
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
if(CCACHE AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc 12 has C++20
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
find_package(CUDAToolkit 12.0 REQUIRED)
message(STATUS "CUDA backend: ${CUDAToolkit_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")

# Position-independent, hidden copies of what the backend uses of the lower floors: the library exports one function.
file(GLOB FERULA_GPU_LOWER_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/base/*.cpp
     ${CMAKE_SOURCE_DIR}/src/device/*.cpp)
list(FILTER FERULA_GPU_LOWER_SOURCES EXCLUDE REGEX "/src/base/log\\.cpp$")
file(GLOB parts CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/device/cuda/*.cpp ${CMAKE_SOURCE_DIR}/src/device/cuda/*.cu
     ${CMAKE_SOURCE_DIR}/src/ops/cuda/*.cpp ${CMAKE_SOURCE_DIR}/src/ops/cuda/*.cu ${CMAKE_SOURCE_DIR}/src/comm/nccl_library*.cpp)

# NCCL's library is opened when the program runs; its header says how it is called.
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ${NCCL_ROOT} PATH_SUFFIXES include)
set(without_nccl ${CMAKE_SOURCE_DIR}/src/comm/nccl_library_none.cpp)
set(with_nccl ${CMAKE_SOURCE_DIR}/src/comm/nccl_library.cpp)
if(NCCL_INCLUDE_DIR)
  list(REMOVE_ITEM parts ${without_nccl})
  set_property(SOURCE ${with_nccl} APPEND PROPERTY INCLUDE_DIRECTORIES ${NCCL_INCLUDE_DIR})
else()
  message(STATUS "CUDA backend: without NCCL (no nccl.h: set NCCL_ROOT to where its include/ is)")
  list(REMOVE_ITEM parts ${with_nccl})
endif()

# All of the backend but its entry: what test programs link, too.
add_library(ferula_cuda_parts STATIC ${parts} ${FERULA_GPU_LOWER_SOURCES})
target_include_directories(ferula_cuda_parts PUBLIC ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(ferula_cuda_parts PUBLIC CUDA::cudart_static CUDA::cublasLt fmt::fmt Threads::Threads
                      ${CMAKE_DL_LIBS})

add_library(ferula_cuda SHARED ${CMAKE_SOURCE_DIR}/src/app/cuda_backend.cpp)
target_link_libraries(ferula_cuda PRIVATE ferula_cuda_parts)
target_link_options(ferula_cuda PRIVATE -Wl,--no-undefined -Wl,--exclude-libs,ALL)
set_target_properties(ferula_cuda PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})

# Attention through cuDNN is a library of its own, which the backend opens where cuDNN is; without it our kernels run.
find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_ROOT} PATH_SUFFIXES include)
find_library(CUDNN_LIBRARY cudnn HINTS ${CUDAToolkit_LIBRARY_DIR} ${CUDNN_ROOT} PATH_SUFFIXES lib lib64)
set(without_cudnn "without cuDNN's attention")
if(CUDNN_INCLUDE_DIR AND CUDNN_LIBRARY)
  if(NOT CUDNN_FRONTEND_ROOT)
    set(CUDNN_FRONTEND_ROOT ${CMAKE_BINARY_DIR}/cudnn-frontend)
    execute_process(COMMAND ${CMAKE_SOURCE_DIR}/env/cudnn_frontend.sh ${CUDNN_FRONTEND_ROOT} TIMEOUT 120
                    OUTPUT_QUIET ERROR_VARIABLE download_problem)
  endif()
  find_path(CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h HINTS ${CUDNN_FRONTEND_ROOT} PATH_SUFFIXES include)
  if(CUDNN_FRONTEND_INCLUDE_DIR)
    add_library(ferula_cudnn SHARED ${CMAKE_SOURCE_DIR}/src/ops/cuda/cudnn/cudnn_attention.cpp)
    target_include_directories(ferula_cudnn PRIVATE ${CMAKE_SOURCE_DIR}/src)
    target_include_directories(ferula_cudnn SYSTEM PRIVATE ${CUDNN_FRONTEND_INCLUDE_DIR} ${CUDNN_INCLUDE_DIR})
    target_link_libraries(ferula_cudnn PRIVATE ${CUDNN_LIBRARY} CUDA::cudart_static CUDA::cuda_driver CUDA::nvrtc)
    target_link_options(ferula_cudnn PRIVATE -Wl,--no-undefined -Wl,--exclude-libs,ALL)
    target_compile_options(ferula_cudnn PRIVATE ${FERULA_WARNINGS})
    set_target_properties(ferula_cudnn PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}
                          CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
    add_dependencies(ferula_cuda ferula_cudnn)
  else()
    message(STATUS "CUDA backend: ${without_cudnn} (no cudnn_frontend.h, and no download: ${download_problem}; "
                   "set CUDNN_FRONTEND_ROOT to where its include/ is)")
  endif()
else()
  message(STATUS "CUDA backend: ${without_cudnn} (no cudnn.h and libcudnn: set CUDNN_ROOT)")
endif()

# fmt 9 takes nvcc for a compiler without constexpr, and its checked format strings then do not compile. Code of the GPU
# is not compressed: a test reads it, and env/bundle.sh packs it better.
foreach(target ferula_cuda_parts ferula_cuda)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden
                        CUDA_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:${FERULA_WARNINGS}>
      $<$<COMPILE_LANGUAGE:CUDA>:-lineinfo --no-compress -DFMT_USE_CONSTEXPR=1 --expt-relaxed-constexpr -Xcompiler=-Wall,-Wextra>)
endforeach()
