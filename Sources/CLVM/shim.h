/* Constants alone: the library is loaded by the process that needs it (LVMLibrary). */
#include <lvm2cmd.h>
