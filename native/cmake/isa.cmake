# Compile flags of each ISA level. A level's folder may use its intrinsics freely: nothing
# in it runs unless cpuid (or MOEBIUS_ISA) chose the level.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64" AND NOT MSVC)
  set(isa_avx2 -mavx2 -mfma -mf16c -mbmi -mbmi2)
  set(isa_avx_vnni ${isa_avx2} -mavxvnni)
  set(isa_avx512 ${isa_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni)
  set(isa_avx512_bf16 ${isa_avx512} -mavx512bf16)
  foreach(level avx2 avx_vnni avx512 avx512_bf16)
    file(GLOB level_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cpu/${level}/*.cc)
    set_source_files_properties(${level_sources} PROPERTIES COMPILE_OPTIONS "${isa_${level}}")
  endforeach()
endif()
