# The safetensors reader against the Python package, and its fuzz target.
if(EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
  add_test(NAME "parity: safetensors"
    COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_CURRENT_SOURCE_DIR}/parity/safetensors_parity.py $<TARGET_FILE:safetensors_probe>)
  set_tests_properties("parity: safetensors" PROPERTIES LABELS parity)
endif()

# The header parser alone: no LibTorch, so that sanitizers see all of it.
set(safetensors_fuzz_sources fuzz/safetensors_fuzz.cpp
  ${CMAKE_SOURCE_DIR}/core/antiphon/weights/safetensors_header.cpp ${CMAKE_SOURCE_DIR}/core/antiphon/weights/json_cursor.cpp
  ${CMAKE_SOURCE_DIR}/core/antiphon/base/error.cpp ${CMAKE_SOURCE_DIR}/core/antiphon/base/shown.cpp
  ${CMAKE_SOURCE_DIR}/core/antiphon/base/strings.cpp)
function(antiphon_safetensors_fuzz TARGET SANITIZERS)
  add_executable(${TARGET} ${safetensors_fuzz_sources} ${ARGN})
  target_include_directories(${TARGET} PRIVATE ${CMAKE_SOURCE_DIR}/core)
  target_include_directories(${TARGET} SYSTEM PRIVATE ${ANTIPHON_TORCH_ROOT}/include)
  target_compile_definitions(${TARGET} PRIVATE FMT_HEADER_ONLY=1)
  target_compile_options(${TARGET} PRIVATE -g -O1 -fsanitize=${SANITIZERS} -fno-sanitize-recover=all)
  target_link_options(${TARGET} PRIVATE -fsanitize=${SANITIZERS})
endfunction()
antiphon_safetensors_fuzz(safetensors_replay address,undefined fuzz/replay.cpp)
add_test(NAME "fuzz: safetensors corpus" COMMAND safetensors_replay ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/safetensors)
# clang++ only: build/bin/safetensors_fuzz tests/fuzz/corpus/safetensors -max_total_time=60
if(ANTIPHON_FUZZ)
  antiphon_safetensors_fuzz(safetensors_fuzz fuzzer,address,undefined)
endif()
