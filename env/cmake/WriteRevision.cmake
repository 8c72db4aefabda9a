# Writes OUTPUT with the revision of the tree at SOURCE; leaves it alone where nothing changed, so that nothing is rebuilt.
execute_process(COMMAND git -C ${SOURCE} describe --always --abbrev=12 --dirty=-modified --exclude=*
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(revision unknown)
endif()
set(text "constexpr std::string_view kRevision = \"${revision}\";\n")
set(previous "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} previous)
endif()
if(NOT "${previous}" STREQUAL "${text}")
  file(WRITE "${OUTPUT}" "${text}")
endif()
