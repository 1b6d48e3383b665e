/* A stand-in for NVIDIA's management library with two made-up devices, for tests. Behaviour by definition: HANGS, CRASHES, REFUSES (no driver),
 * OLD (functions are missing), BROKEN (the second device is in trouble). */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct memory { unsigned long long total, free, used; };

const char* nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : code == 15 ? "GPU is lost" : "Unknown Error"; }
#ifndef OLD
int nvmlInit_v2(void) {
#if defined(HANGS)
  for (;;)
    pause();
#elif defined(CRASHES)
  raise(SIGSEGV);
#elif defined(REFUSES)
  return 9;
#endif
  return 0;
}
#endif
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char* text, unsigned length) { return snprintf(text, length, "999.1 (made up)") < 0; }
int nvmlDeviceGetCount_v2(unsigned* count) { return *count = 2, 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
#ifdef BROKEN
  if (index == 1)
    return 15;
#endif
  *device = (void*)(unsigned long)(index + 1);
  return 0;
}
int nvmlDeviceGetName(void* device, char* text, unsigned length) { return snprintf(text, length, "Made-up GPU %c\x1b[31m", device == (void*)1 ? 'A' : 'B') < 0; }
int nvmlDeviceGetCudaComputeCapability(void* device, int* major, int* minor) { return (void)device, *major = 9, *minor = 0, 0; }
int nvmlDeviceGetMemoryInfo(void* device, struct memory* memory) { return (void)device, memset(memory, 0, sizeof *memory), memory->total = 80ull << 30, 0; }
int nvmlDeviceGetMaxClockInfo(void* device, int which, unsigned* mhz) { return (void)device, *mhz = which == 2 ? 2619 : 1980, 0; }
int nvmlDeviceGetMemoryBusWidth(void* device, unsigned* bits) { return (void)device, *bits = 5120, 0; }
int nvmlDeviceGetEccMode(void* device, unsigned* current, unsigned* pending) { return (void)device, *current = *pending = 1, 0; }
int nvmlDeviceGetTotalEccErrors(void* device, int kind, int counter, unsigned long long* errors) {
  (void)kind, (void)counter;
#ifdef BROKEN
  return *errors = device == (void*)1 ? 3 : 0, 0;
#else
  return (void)device, *errors = 0, 0;
#endif
}
int nvmlDeviceGetUUID(void* device, char* text, unsigned length) { return snprintf(text, length, "GPU-made-up-%lu", (unsigned long)device) < 0; }
