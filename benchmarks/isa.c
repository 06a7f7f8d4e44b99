/* Shows a process a CPU without AVX-512, VNNI and AMX, by answering its CPUID instructions.
 *
 *     cc -O2 -shared -fPIC isa.c -o isa.so && LD_PRELOAD=./isa.so python ...
 *
 * Linux on x86-64 can make CPUID fault (arch_prctl, CPUs with "cpuid_fault" in /proc/cpuinfo). The fault handler here runs the
 * instruction for the caller and clears the feature bits beyond Haswell's. The setting is inherited by threads and, through
 * LD_PRELOAD, by child processes. Libraries that choose their kernels by CPUID (oneDNN, MLAS, OpenCV, NumPy, OpenBLAS) then take
 * their AVX2 ones; nothing else about the CPU changes. (The C library chose its own memcpy before this started.)
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { ARCH_SET_CPUID = 0x1012 };

#define BIT(n) (1u << (n))

/* Leaf 7, subleaf 0. */
#define AVX512_EBX (BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31)) /* F DQ IFMA PF ER CD BW VL */
#define AVX512_ECX (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))                                 /* VBMI VBMI2 VNNI BITALG VPOPCNTDQ */
#define WIDER_ECX (BIT(8) | BIT(9) | BIT(10))                                                      /* GFNI VAES VPCLMULQDQ */
#define AVX512_EDX (BIT(2) | BIT(3) | BIT(8) | BIT(23))                                            /* 4VNNIW 4FMAPS VP2INTERSECT FP16 */
#define AMX_EDX (BIT(22) | BIT(24) | BIT(25))                                                      /* BF16 TILE INT8 */
/* Leaf 7, subleaf 1. */
#define NEWER_EAX (BIT(4) | BIT(5) | BIT(21) | BIT(23))  /* AVX-VNNI AVX512-BF16 AMX-FP16 AVX-IFMA */
#define NEWER_EDX (BIT(4) | BIT(5) | BIT(10) | BIT(19)) /* AVX-VNNI-INT8 AVX-NE-CONVERT AVX-VNNI-INT16 AVX10 */

static void answer(int signal_number, siginfo_t *info, void *context)
{
    greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *code = (const uint8_t *)reg[REG_RIP];
    if (info->si_code <= 0 || info->si_addr == (void *)code || code[0] != 0x0f || code[1] != 0xa2) {
        signal(signal_number, SIG_DFL); /* a true fault: let it happen again, unhandled */
        return;
    }
    uint32_t leaf = (uint32_t)reg[REG_RAX], sub = (uint32_t)reg[REG_RCX];
    uint32_t a, b, c, d;
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(sub));
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
    if (leaf == 7 && sub == 0) {
        b &= ~AVX512_EBX;
        c &= ~(AVX512_ECX | WIDER_ECX);
        d &= ~(AVX512_EDX | AMX_EDX);
    } else if (leaf == 7 && sub == 1) {
        a &= ~NEWER_EAX;
        d &= ~NEWER_EDX;
    }
    reg[REG_RAX] = a;
    reg[REG_RBX] = b;
    reg[REG_RCX] = c;
    reg[REG_RDX] = d;
    reg[REG_RIP] += 2;
}

__attribute__((constructor)) static void hide(void)
{
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSEGV, &action, 0) == 0)
        syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
}

/* What CPUID says here and now, leaf 7: EBX, ECX, EDX, and EAX of subleaf 1. */
void leaf7(uint32_t out[4])
{
    uint32_t a, b, c, d;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(out[0]), "=c"(out[1]), "=d"(out[2]) : "a"(7), "c"(0));
    __asm__ volatile("cpuid" : "=a"(out[3]), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(1));
}
