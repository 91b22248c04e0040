# The program as tests start it that do so hundreds of times: what people call, with a client of a fork server in the
# place of the program itself (fork_server/fork_server.cpp).
set(forked ${CMAKE_BINARY_DIR}/forked)
add_library(fork_server MODULE fork_server/fork_server.cpp)
target_link_libraries(fork_server PRIVATE dl)
add_executable(fork_client fork_server/fork_client.cpp)
set_target_properties(fork_client PROPERTIES OUTPUT_NAME antiphon RUNTIME_OUTPUT_DIRECTORY ${forked}/libexec/antiphon)
target_compile_definitions(fork_client PRIVATE PROGRAM="$<TARGET_FILE:antiphon_main>" SERVER="$<TARGET_FILE:fork_server>")
add_custom_command(OUTPUT ${forked}/bin/antiphon VERBATIM
  DEPENDS antiphon_program antiphon_launch antiphon_main fork_client
  COMMAND ${CMAKE_COMMAND} -E make_directory ${forked}/bin
  COMMAND ${CMAKE_COMMAND} -E copy $<TARGET_FILE:antiphon_program> ${forked}/bin/antiphon
  COMMAND ${CMAKE_COMMAND} -E copy $<TARGET_FILE:antiphon_launch> ${forked}/libexec/antiphon/antiphon_launch
  COMMAND ${CMAKE_COMMAND} -E copy_directory ${CMAKE_BINARY_DIR}/libexec/antiphon/help ${forked}/libexec/antiphon/help)
add_custom_target(forked_program ALL DEPENDS ${forked}/bin/antiphon)
if(ANTIPHON_FFMPEG AND EXISTS ${CMAKE_SOURCE_DIR}/.venv/bin/python)
  add_test(NAME "tools: fork server" COMMAND ${CMAKE_SOURCE_DIR}/.venv/bin/python ${CMAKE_CURRENT_SOURCE_DIR}/fork_server/forked_test.py)
endif()
