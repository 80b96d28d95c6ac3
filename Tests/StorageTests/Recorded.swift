/// What the tools of Debian 12 printed (LVM 2.03.16, util-linux 2.38.1), whole.
enum Recorded {
    /// `lvs` in the lab: one LV open, one not, one inactive, two of a guest that xenlvs does not know.
    static let volumes = """
          {
              "report": [
                  {
                      "lv": [
                          {"vg_name":"vg0", "lv_name":"stt-a", \
        "lv_uuid":"1uak4d-nSC0-dKgy-sBFE-1e5M-VZLp-5Il3nR", "lv_size":"33554432", "lv_attr":"-wi-ao----", \
        "lv_tags":"xenlvs,xenlvs.volume=stt-a", "lv_layout":"linear", "lv_role":"public", \
        "lv_health_status":"", "lv_device_open":"open", "lv_kernel_major":"254", "lv_kernel_minor":"2"},
                          {"vg_name":"vg0", "lv_name":"stt-a.drbdmd", \
        "lv_uuid":"oTyo2L-mWGb-Mqxs-SYhE-4yTP-mI86-yqMLeU", "lv_size":"4194304", "lv_attr":"-wi-a-----", \
        "lv_tags":"xenlvs", "lv_layout":"linear", "lv_role":"public", "lv_health_status":"", \
        "lv_device_open":"", "lv_kernel_major":"254", "lv_kernel_minor":"3"},
                          {"vg_name":"vg0", "lv_name":"stt-b", \
        "lv_uuid":"uGWQJ6-3Bo8-bXR3-3uHI-0b7J-9mYv-RUfgLF", "lv_size":"4194304", "lv_attr":"-wi-------", \
        "lv_tags":"", "lv_layout":"linear", "lv_role":"public", "lv_health_status":"", \
        "lv_device_open":"unknown", "lv_kernel_major":"-1", "lv_kernel_minor":"-1"},
                          {"vg_name":"vg0", "lv_name":"web1", \
        "lv_uuid":"S7Tvif-j1rB-Xy3U-0SUG-0BC8-pj6n-vomvhg", "lv_size":"268435456", "lv_attr":"-wi-ao----", \
        "lv_tags":"", "lv_layout":"linear", "lv_role":"public", "lv_health_status":"", \
        "lv_device_open":"open", "lv_kernel_major":"254", "lv_kernel_minor":"0"},
                          {"vg_name":"vg0", "lv_name":"web2", \
        "lv_uuid":"nsmvVy-meNN-33bc-bA4S-epkN-mqyw-HUriSa", "lv_size":"268435456", "lv_attr":"-wi-ao----", \
        "lv_tags":"", "lv_layout":"linear", "lv_role":"public", "lv_health_status":"", \
        "lv_device_open":"open", "lv_kernel_major":"254", "lv_kernel_minor":"1"}
                      ]
                  }
              ]
          }

        """

    /// `lvs --select` where nothing has the name.
    static let noVolumes = """
          {
              "report": [
                  {
                      "lv": [
                      ]
                  }
              ]
          }

        """

    /// `vgs` in the lab.
    static let groups = """
          {
              "report": [
                  {
                      "vg": [
                          {"vg_name":"vg0", "vg_uuid":"azjuOu-Y3rg-8Czo-kfat-rWej-k5HI-cMfrfH", \
        "vg_size":"8585740288", "vg_free":"8048869376", "vg_extent_size":"4194304", "vg_attr":"wz--n-", \
        "vg_missing_pv_count":"0"}
                      ]
                  }
              ]
          }

        """

    /// `losetup --json --list`: one direct, one detached while open, one whose file is gone, one without a file.
    static let loopDevices = """
        {
           "loopdevices": [
              {
                 "name": "/dev/loop1",
                 "back-file": "/srv/pool/web1.img",
                 "ro": false,
                 "dio": true,
                 "autoclear": false,
                 "offset": 0,
                 "sizelimit": 0
              },{
                 "name": "/dev/loop0",
                 "back-file": "/srv/pool/old.img (deleted)",
                 "ro": true,
                 "dio": false,
                 "autoclear": true,
                 "offset": 512,
                 "sizelimit": 0
              },{
                 "name": "/dev/loop6",
                 "back-file": null,
                 "ro": false,
                 "dio": false,
                 "autoclear": false,
                 "offset": 0,
                 "sizelimit": 0
              }
           ]
        }
        """
}
