# antiphon::torch: the headers and CPU libraries of LibTorch, from -DTorch_DIR=…/share/cmake/Torch or from the
# wheel in .venv. The CUDA half (libtorch_cuda.so) is opened at run time when a CUDA device is asked for, so that
# a start on the CPU does not pay for it; TorchConfig.cmake would demand a CUDA toolkit at build time.
if(NOT Torch_DIR AND DEFINED ENV{Torch_DIR})
  set(Torch_DIR $ENV{Torch_DIR})
endif()
if(Torch_DIR)
  get_filename_component(_torch_root ${Torch_DIR}/../../.. ABSOLUTE)
else()
  file(GLOB _torch_roots ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
  list(GET _torch_roots 0 _torch_root)
endif()
set(ANTIPHON_TORCH_ROOT ${_torch_root} CACHE PATH "LibTorch" FORCE)
if(NOT EXISTS ${ANTIPHON_TORCH_ROOT}/include/ATen/ATen.h)
  message(FATAL_ERROR "LibTorch not found in '${ANTIPHON_TORCH_ROOT}': run ./setup python, or give -DTorch_DIR=<libtorch>/share/cmake/Torch")
endif()
file(READ ${ANTIPHON_TORCH_ROOT}/include/torch/headeronly/version.h _torch_version_h)
string(REGEX MATCH "TORCH_VERSION \"?([0-9]+\\.[0-9]+\\.[0-9]+)" _ "${_torch_version_h}")
set(ANTIPHON_TORCH_VERSION ${CMAKE_MATCH_1})
message(STATUS "LibTorch ${ANTIPHON_TORCH_VERSION} in ${ANTIPHON_TORCH_ROOT}")

add_library(antiphon_torch INTERFACE)
add_library(antiphon::torch ALIAS antiphon_torch)
target_include_directories(antiphon_torch SYSTEM INTERFACE
  ${ANTIPHON_TORCH_ROOT}/include ${ANTIPHON_TORCH_ROOT}/include/torch/csrc/api/include)
target_compile_definitions(antiphon_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1 FMT_HEADER_ONLY=1 USE_C10D_GLOO=1 USE_DISTRIBUTED=1)
target_link_libraries(antiphon_torch INTERFACE ${ANTIPHON_TORCH_ROOT}/lib/libtorch_cpu.so ${ANTIPHON_TORCH_ROOT}/lib/libc10.so)
target_link_options(antiphon_torch INTERFACE LINKER:-rpath,${ANTIPHON_TORCH_ROOT}/lib)
