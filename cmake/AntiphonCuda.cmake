# libantiphon_cuda.so: the CUDA kernels and graphs, opened at run time beside libtorch_cuda.so
# (docs/decisions/0007-cuda-library.md). nvcc compiles the kernels, which include nothing of LibTorch; the C++ compiler
# does the rest against the CUDA headers of LibTorch's own wheel, or of the toolkit.
set(ANTIPHON_CUDA AUTO CACHE STRING "build the CUDA kernels: AUTO (where nvcc and LibTorch's CUDA half are found), ON or OFF")
set(ANTIPHON_CUDA_ARCHITECTURES "80;90" CACHE STRING "compute capabilities with machine code; the last one's PTX goes in too")

find_program(ANTIPHON_NVCC nvcc HINTS ${ANTIPHON_TORCH_ROOT}/../nvidia/cu13/bin $ENV{CUDACXX} $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin)
find_path(ANTIPHON_CUDA_INCLUDE cuda_runtime_api.h NO_DEFAULT_PATH
  PATHS ${ANTIPHON_TORCH_ROOT}/../nvidia/cu13/include $ENV{CUDA_HOME}/include /usr/local/cuda/include)
find_library(ANTIPHON_CUDART NAMES libcudart.so.13 cudart NO_DEFAULT_PATH
  PATHS ${ANTIPHON_TORCH_ROOT}/../nvidia/cu13/lib $ENV{CUDA_HOME}/lib64 /usr/local/cuda/lib64)

# What is missing for kernels; empty if nothing is.
function(antiphon_cuda_missing RESULT)
  set(missing "")
  if(NOT ANTIPHON_NVCC)
    list(APPEND missing "nvcc (CUDA toolkit 13)")
  endif()
  if(NOT EXISTS ${ANTIPHON_TORCH_ROOT}/lib/libtorch_cuda.so)
    list(APPEND missing "libtorch_cuda.so (a LibTorch built with CUDA)")
  endif()
  if(NOT ANTIPHON_CUDA_INCLUDE OR NOT ANTIPHON_CUDART)
    list(APPEND missing "cuda_runtime_api.h and libcudart (the wheel's nvidia/cu13, or the toolkit)")
  endif()
  list(JOIN missing ", " missing)
  set(${RESULT} "${missing}" PARENT_SCOPE)
endfunction()

set(_kernels ${CMAKE_SOURCE_DIR}/core/antiphon/kernels/cuda)
file(GLOB ANTIPHON_CUDA_KERNELS CONFIGURE_DEPENDS ${_kernels}/*.cu)

function(antiphon_compile_kernels OBJECTS)
  set(targets "")
  foreach(architecture ${ANTIPHON_CUDA_ARCHITECTURES})
    list(APPEND targets -gencode arch=compute_${architecture},code=sm_${architecture})
    set(newest ${architecture})
  endforeach()
  list(APPEND targets -gencode arch=compute_${newest},code=compute_${newest})
  set(objects "")
  foreach(source ${ANTIPHON_CUDA_KERNELS})
    get_filename_component(name ${source} NAME_WE)
    set(object ${CMAKE_BINARY_DIR}/cuda/${name}.o)
    add_custom_command(OUTPUT ${object} DEPENDS ${source} DEPFILE ${object}.d VERBATIM
      COMMAND ${ANTIPHON_CCACHE} ${ANTIPHON_NVCC} -ccbin ${CMAKE_CXX_COMPILER} -std=c++20 -O3 ${targets} -Xcompiler -fPIC,-fvisibility=hidden
        -I${CMAKE_SOURCE_DIR}/core -isystem ${ANTIPHON_CUDA_INCLUDE} -MD -MF ${object}.d -c ${source} -o ${object}
      COMMENT "Building CUDA object ${name}.o")
    list(APPEND objects ${object})
  endforeach()
  set(${OBJECTS} ${objects} PARENT_SCOPE)
endfunction()

function(antiphon_add_cuda_library)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/cuda)
  antiphon_compile_kernels(objects)
  add_library(antiphon_cuda SHARED ${_kernels}/bind.cpp ${_kernels}/library.cpp ${objects})
  target_include_directories(antiphon_cuda PRIVATE ${CMAKE_SOURCE_DIR}/core)
  target_include_directories(antiphon_cuda SYSTEM PRIVATE ${ANTIPHON_CUDA_INCLUDE})
  set(torch ${ANTIPHON_TORCH_ROOT}/lib)
  target_link_libraries(antiphon_cuda PRIVATE antiphon::torch ${torch}/libtorch_cuda.so ${torch}/libc10_cuda.so ${ANTIPHON_CUDART})
  get_filename_component(runtime ${ANTIPHON_CUDART} DIRECTORY)
  target_link_options(antiphon_cuda PRIVATE LINKER:-rpath,${torch}:${runtime} LINKER:--no-undefined)
  set_target_properties(antiphon_cuda PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  install(TARGETS antiphon_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

# libantiphon_nccl.so: c10d's NCCL backend (docs/decisions/0025-nccl.md). NCCL itself is opened by LibTorch.
find_path(ANTIPHON_NCCL_INCLUDE nccl.h NO_DEFAULT_PATH PATHS ${ANTIPHON_TORCH_ROOT}/../nvidia/nccl/include)
find_path(ANTIPHON_NCCL_INCLUDE nccl.h)
function(antiphon_add_nccl_library)
  add_library(antiphon_nccl SHARED ${CMAKE_SOURCE_DIR}/core/antiphon/comm/nccl/library.cpp)
  target_include_directories(antiphon_nccl PRIVATE ${CMAKE_SOURCE_DIR}/core)
  target_include_directories(antiphon_nccl SYSTEM PRIVATE ${ANTIPHON_CUDA_INCLUDE} ${ANTIPHON_NCCL_INCLUDE})
  set(torch ${ANTIPHON_TORCH_ROOT}/lib)
  target_link_libraries(antiphon_nccl PRIVATE antiphon::torch ${torch}/libtorch_cuda.so ${torch}/libc10_cuda.so)
  target_compile_definitions(antiphon_nccl PRIVATE FMT_HEADER_ONLY=1)
  target_compile_options(antiphon_nccl PRIVATE $<$<CONFIG:Release>:-O1>)  # headers; nothing here takes time
  target_link_options(antiphon_nccl PRIVATE LINKER:-rpath,${torch} LINKER:--no-undefined LINKER:--allow-shlib-undefined)
  set_target_properties(antiphon_nccl PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  install(TARGETS antiphon_nccl LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

# For tests: the same kernels, compiled as C++ for the CPU.
function(antiphon_add_emulated_kernels)
  set_source_files_properties(${ANTIPHON_CUDA_KERNELS} PROPERTIES LANGUAGE CXX)
  add_library(antiphon_cuda_emulated OBJECT EXCLUDE_FROM_ALL ${ANTIPHON_CUDA_KERNELS} ${_kernels}/emulate.cpp ${_kernels}/bind.cpp)
  target_compile_options(antiphon_cuda_emulated PRIVATE -O1 -fno-strict-aliasing -Wno-unknown-pragmas)  # words over elements
  target_include_directories(antiphon_cuda_emulated PUBLIC ${CMAKE_SOURCE_DIR}/core)
  target_link_libraries(antiphon_cuda_emulated PUBLIC antiphon::torch)
endfunction()

if(ANTIPHON_CUDA)
  antiphon_cuda_missing(_missing)
  if(NOT _missing)
    message(STATUS "CUDA kernels: ${ANTIPHON_NVCC}, for ${ANTIPHON_CUDA_ARCHITECTURES}")
    antiphon_add_cuda_library()
  elseif(ANTIPHON_CUDA STREQUAL AUTO)
    message(STATUS "CUDA kernels: off; missing: ${_missing}")
  else()
    message(FATAL_ERROR "ANTIPHON_CUDA is ${ANTIPHON_CUDA} and these are missing: ${_missing}")
  endif()
endif()
if(ANTIPHON_CUDA AND EXISTS ${ANTIPHON_TORCH_ROOT}/lib/libtorch_cuda.so AND ANTIPHON_CUDA_INCLUDE AND ANTIPHON_NCCL_INCLUDE)
  antiphon_add_nccl_library()
elseif(ANTIPHON_CUDA)
  message(STATUS "NCCL: off; it takes libtorch_cuda.so, cuda_runtime_api.h and nccl.h")
endif()
