# cmake -DPROGRAM=antiphon -DNAME=… -DFOLDER=<of the plugin> -DSCHEMA=schema.json -P check_schema.cmake:
# the options of a plugin are those in git, so that a changed default is a line that somebody reads.
set(ENV{ANTIPHON_PLUGIN_PATH} ${FOLDER})
execute_process(COMMAND ${PROGRAM} inspect ${NAME} --json OUTPUT_VARIABLE now COMMAND_ERROR_IS_FATAL ANY)
file(READ ${SCHEMA} kept)
if(NOT now STREQUAL kept)
  set(fresh ${FOLDER}/${NAME}.schema.now.json)
  file(WRITE ${fresh} "${now}")
  execute_process(COMMAND diff -u ${SCHEMA} ${fresh})
  message(FATAL_ERROR "the options of ${NAME} differ from ${SCHEMA}. If that is meant, update it:
  ANTIPHON_PLUGIN_PATH=${FOLDER} ${PROGRAM} inspect ${NAME} --json > ${SCHEMA}
In Antiphon's own tree, for all at once: tools/update_schemas.sh")
endif()
