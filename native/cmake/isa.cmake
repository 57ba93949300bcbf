# Compile flags of each ISA level. A level's folder may use its intrinsics freely: nothing
# in it runs unless cpuid (or MOEBIUS_ISA) chose the level. Elsewhere the folders stay out
# of the build.
set(isa_levels avx2 avx_vnni avx512)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64" AND NOT MSVC)
  set(isa_avx2 -mavx2 -mfma -mf16c -mbmi -mbmi2)
  set(isa_avx_vnni ${isa_avx2} -mavxvnni)
  set(isa_avx512 ${isa_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC 12 takes the deliberately undefined operands in its own AVX-512 header for a bug.
    list(APPEND isa_avx512 -Wno-maybe-uninitialized -Wno-uninitialized)
  endif()
  target_compile_definitions(moebius_engine PRIVATE MOEBIUS_X86_LEVELS)
  foreach(level ${isa_levels})
    file(GLOB level_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cpu/${level}/*.cc)
    set_source_files_properties(${level_sources} PROPERTIES COMPILE_OPTIONS "${isa_${level}}")
  endforeach()
else()
  foreach(level ${isa_levels})
    file(GLOB level_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cpu/${level}/*.cc)
    set_source_files_properties(${level_sources} PROPERTIES HEADER_FILE_ONLY TRUE)
  endforeach()
endif()
