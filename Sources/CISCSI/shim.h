/* Types alone: the library is loaded when it is needed (ISCSILibrary), so that xenlvs starts on hosts without it. */
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
