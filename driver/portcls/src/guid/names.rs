//! Names of pins and nodes, which Windows translates.

guids! {
    /// Name of a pin or node: 3D center.
    KSAUDFNAME_3D_CENTER = "9F0670B4-991F-11D2-AC4D-00C04F8EFB68";
    /// Name of a pin or node: 3D depth.
    KSAUDFNAME_3D_DEPTH = "63FF5747-991F-11D2-AC4D-00C04F8EFB68";
    /// Name of a pin or node: 3D stereo.
    KSAUDFNAME_3D_STEREO = "185FEDE2-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: alternate microphone.
    KSAUDFNAME_ALTERNATE_MICROPHONE = "2BC31D6B-96E3-11D2-AC4C-00C04F8EFB68";
    /// Name of a pin or node: aux.
    KSAUDFNAME_AUX = "185FEDFE-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: aux mute.
    KSAUDFNAME_AUX_MUTE = "185FEDFD-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: aux volume.
    KSAUDFNAME_AUX_VOLUME = "185FEDFC-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: bass.
    KSAUDFNAME_BASS = "185FEDE0-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: CD audio.
    KSAUDFNAME_CD_AUDIO = "185FEDFB-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: CD in volume.
    KSAUDFNAME_CD_IN_VOLUME = "185FEDF3-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: CD mute.
    KSAUDFNAME_CD_MUTE = "185FEDEA-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: CD volume.
    KSAUDFNAME_CD_VOLUME = "185FEDE9-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: line in.
    KSAUDFNAME_LINE_IN = "185FEDF9-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: line in volume.
    KSAUDFNAME_LINE_IN_VOLUME = "185FEDF4-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: line mute.
    KSAUDFNAME_LINE_MUTE = "185FEDEC-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: line volume.
    KSAUDFNAME_LINE_VOLUME = "185FEDEB-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: microphone boost.
    KSAUDFNAME_MICROPHONE_BOOST = "2BC31D6A-96E3-11D2-AC4C-00C04F8EFB68";
    /// Name of a pin or node: mic in volume.
    KSAUDFNAME_MIC_IN_VOLUME = "185FEDF5-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: MIDI.
    KSAUDFNAME_MIDI = "185FEDF8-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: MIDI in volume.
    KSAUDFNAME_MIDI_IN_VOLUME = "185FEDF2-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: MIDI mute.
    KSAUDFNAME_MIDI_MUTE = "185FEDE8-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: MIDI volume.
    KSAUDFNAME_MIDI_VOLUME = "185FEDE7-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: midrange.
    KSAUDFNAME_MIDRANGE = "A2CBE478-AE84-49A1-8B72-4AD09B78ED34";
    /// Name of a pin or node: mono mix.
    KSAUDFNAME_MONO_MIX = "00DFF078-96E3-11D2-AC4C-00C04F8EFB68";
    /// Name of a pin or node: mono mix mute.
    KSAUDFNAME_MONO_MIX_MUTE = "2BC31D69-96E3-11D2-AC4C-00C04F8EFB68";
    /// Name of a pin or node: mono mix volume.
    KSAUDFNAME_MONO_MIX_VOLUME = "22B0EAFE-96E3-11D2-AC4C-00C04F8EFB68";
    /// Name of a pin or node: mono out.
    KSAUDFNAME_MONO_OUT = "F9B41DC3-96E2-11D2-AC4C-00C04F8EFB68";
    /// Name of a pin or node: mono out mute.
    KSAUDFNAME_MONO_OUT_MUTE = "1AD247EC-96E3-11D2-AC4C-00C04F8EFB68";
    /// Name of a pin or node: mono out volume.
    KSAUDFNAME_MONO_OUT_VOLUME = "1AD247EB-96E3-11D2-AC4C-00C04F8EFB68";
    /// Name of a pin or node: PC speaker.
    KSAUDFNAME_PC_SPEAKER = "185FEDFF-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: PC speaker mute.
    KSAUDFNAME_PC_SPEAKER_MUTE = "185FEDF1-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: PC speaker volume.
    KSAUDFNAME_PC_SPEAKER_VOLUME = "185FEDF0-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: peakmeter.
    KSAUDFNAME_PEAKMETER = "57E24340-FC5B-4612-A562-72B11A29DFAE";
    /// Name of a pin or node: recording source.
    KSAUDFNAME_RECORDING_SOURCE = "185FEDEF-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: stereo mix.
    KSAUDFNAME_STEREO_MIX = "00DFF077-96E3-11D2-AC4C-00C04F8EFB68";
    /// Name of a pin or node: stereo mix mute.
    KSAUDFNAME_STEREO_MIX_MUTE = "22B0EAFD-96E3-11D2-AC4C-00C04F8EFB68";
    /// Name of a pin or node: stereo mix volume.
    KSAUDFNAME_STEREO_MIX_VOLUME = "1AD247ED-96E3-11D2-AC4C-00C04F8EFB68";
    /// Name of a pin or node: treble.
    KSAUDFNAME_TREBLE = "185FEDE1-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: video.
    KSAUDFNAME_VIDEO = "915DAEC4-A434-11D2-AC52-00C04F8EFB68";
    /// Name of a pin or node: video mute.
    KSAUDFNAME_VIDEO_MUTE = "9B46E709-992A-11D2-AC4D-00C04F8EFB68";
    /// Name of a pin or node: video volume.
    KSAUDFNAME_VIDEO_VOLUME = "9B46E708-992A-11D2-AC4D-00C04F8EFB68";
    /// Name of a pin or node: volume control.
    KSAUDFNAME_VOLUME_CONTROL = "185FEDF7-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: wave in volume.
    KSAUDFNAME_WAVE_IN_VOLUME = "185FEDF6-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: wave mute.
    KSAUDFNAME_WAVE_MUTE = "185FEDE6-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: wave out mix.
    KSAUDFNAME_WAVE_OUT_MIX = "185FEE00-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin or node: wave volume.
    KSAUDFNAME_WAVE_VOLUME = "185FEDE5-9905-11D1-95A9-00C04FB925D3";
    /// Name of a pin: DisplayPort.
    PINNAME_DISPLAYPORT_OUT = "21FBB329-1A4A-48DA-A076-2318A3C59B26";
    /// Name of a pin: HDMI.
    PINNAME_HDMI_OUT = "387BFC03-E7EF-4901-86E0-35B7C32B00EF";
    /// Name of a pin: S/PDIF, in.
    PINNAME_SPDIF_IN = "15DC9025-22AD-41B3-8875-F4CEB0299E20";
    /// Name of a pin: S/PDIF, out.
    PINNAME_SPDIF_OUT = "3A264481-E52C-4B82-8E7A-C8E2F91DC380";
}
