@echo off
rem Installs the Ringwave driver from this folder, says what it does, and what is wrong when the sound card
rem does not start.
rem   install.cmd              the driver keeps time as any sound card does
rem   install.cmd /lockstep    it asks the card to wait for programs that are late (registry value Lockstep): for tests and recordings
rem Exit code: 0 the card works, 1 installed, but the card has a problem, 2 this Windows or this user cannot,
rem 3 this Windows would not load the driver, 4 no card, 5 a restart is needed, 6 Windows refused the driver,
rem 7 the card has another driver, which Windows takes for newer, and works with that.
setlocal EnableExtensions
cd /d "%~dp0"
set "card=@HARDWARE_ID@"
set "virtio=@VIRTIO_HARDWARE_ID@"
set "oldest=@OLDEST_BUILD@"
set "lockstep="
if /i "%~1"=="/lockstep" set "lockstep=1"

echo Ringwave: 1 of 5: this Windows
fltmc >nul 2>&1
if errorlevel 1 (
    echo   This needs an administrator: right-click install.cmd, "Run as administrator".
    exit /b 2
)
set "machine=%PROCESSOR_ARCHITECTURE%"
if defined PROCESSOR_ARCHITEW6432 set "machine=%PROCESSOR_ARCHITEW6432%"
if /i not "%machine%"=="AMD64" (
    echo   The driver is for x64; this Windows is for %machine%.
    exit /b 2
)
set "build=0"
for /f "tokens=3" %%b in ('reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v CurrentBuildNumber 2^>nul ^| find "CurrentBuildNumber"') do set "build=%%b"
if %build% LSS %oldest% (
    echo   The driver is for Windows 10 1809, build %oldest%, and later; this is build %build%.
    exit /b 2
)
for %%f in (ringwave.inf ringwave.sys ringwave.cat) do (
    if not exist "%%f" (
        echo   %%f is missing beside install.cmd.
        exit /b 2
    )
)

echo Ringwave: 2 of 5: will Windows load it
if not exist ringwave-test.cer (
    echo   No ringwave-test.cer here: taken for a driver that you signed yourself. Nothing checked.
    goto certificate_done
)
reg query "HKLM\SYSTEM\CurrentControlSet\Control\SecureBoot\State" /v UEFISecureBootEnabled 2>nul | find "0x1" >nul
if not errorlevel 1 (
    echo   Secure Boot is on. With it Windows loads no driver with a test signature, and test signing cannot be turned on.
    echo   Turn Secure Boot off in the firmware's settings, in QEMU by OVMF without it, then run install.cmd again.
    exit /b 3
)
rem What the running Windows was started with; what bcdedit says may wait for a restart, and in the user's
rem language.
reg query "HKLM\SYSTEM\CurrentControlSet\Control" /v SystemStartOptions 2>nul | find /i "TESTSIGNING" >nul
if errorlevel 1 (
    echo   Test signing is off. As administrator: bcdedit /set testsigning on
    echo   Then restart Windows and run install.cmd again.
    exit /b 3
)
echo   Secure Boot is off, test signing is on.
if %build% GEQ 26100 (
    echo   Users of other test-signed drivers report problem code 52 on Server 2025 and on build 26200 all the same. Should the
    echo   last step say 52: the certificate must be in both stores of the machine, and memory integrity may have to be off.
)

echo   Trusting the test certificate ^(machine's Root and TrustedPublisher^); uninstall.cmd takes it out again.
for %%s in (Root TrustedPublisher) do (
    certutil -addstore -f %%s ringwave-test.cer >nul
    if errorlevel 1 (
        echo   certutil could not add ringwave-test.cer to %%s.
        exit /b 3
    )
)
:certificate_done

echo Ringwave: 3 of 5: what is there already
set "published="
set "packages="
for /f "tokens=1* delims=:" %%a in ('pnputil /enum-drivers') do call :driver "%%b"
if defined packages (
    echo   Ringwave packages in the driver store:%packages%. Windows takes the newest.
) else (
    echo   No Ringwave package in the driver store.
)

echo Ringwave: 4 of 5: adding the driver
pnputil /add-driver ringwave.inf /install
set "result=%errorlevel%"
if "%result%"=="0" goto added
if "%result%"=="3010" goto added
if "%result%"=="1641" goto added
rem 259: no device takes it, or one has a driver that is as good already; the next step tells which.
if "%result%"=="259" goto added
echo   Windows refused the driver: pnputil ended with %result%.
call :log
exit /b 6
:added
if defined lockstep (
    echo   Setting Lockstep = 1 for every Ringwave card, and starting it again.
    powershell -NoProfile -Command "$ErrorActionPreference = 'Stop'; Get-PnpDevice -PresentOnly | Where-Object { $_.InstanceId.StartsWith('%card%') -or $_.InstanceId.StartsWith('%virtio%') } | ForEach-Object { $i = $_.InstanceId; Set-ItemProperty -LiteralPath ('HKLM:\SYSTEM\CurrentControlSet\Enum\' + $i + '\Device Parameters') -Name Lockstep -Type DWord -Value 1; Disable-PnpDevice -InstanceId $i -Confirm:$false; Enable-PnpDevice -InstanceId $i -Confirm:$false }"
    if errorlevel 1 echo   That failed. The value counts after a restart of Windows, if it was set.
)

echo Ringwave: 5 of 5: the card
set "status="
set "version="
set "inf="
for /f "tokens=1-4" %%a in ('powershell -NoProfile -Command "Get-PnpDevice -PresentOnly | Where-Object { $_.InstanceId.StartsWith('%card%') -or $_.InstanceId.StartsWith('%virtio%') } | ForEach-Object { $i = $_.InstanceId; $p = { param($k) (Get-PnpDeviceProperty -InstanceId $i -KeyName $k).Data }; 'card {0} {1} {2}' -f [int](& $p DEVPKEY_Device_ProblemCode), (& $p DEVPKEY_Device_DriverVersion), (& $p DEVPKEY_Device_DriverInfPath) }"') do (
    if "%%a"=="card" (
        set "status=%%b"
        set "version=%%c"
        set "inf=%%d"
    )
)
if not defined status (
    echo   The driver is in the driver store, but this machine has no card "%card%" and no virtio sound device "%virtio%".
    echo   With QEMU: start "ringwave serve" on the host and give QEMU the device vfio-user-pci; or give it virtio-sound-pci.
    exit /b 4
)
if "%result%"=="3010" goto restart
if "%result%"=="1641" goto restart
rem In Windows' folder of INFs there is a copy of each package's, to the byte. Another one under that name is
rem another package; none at all is not known to be one.
set "other="
if defined inf if exist "%windir%\INF\%inf%" (
    fc /b "%windir%\INF\%inf%" ringwave.inf >nul 2>&1
    if errorlevel 1 set "other=1"
)
if "%status%"=="0" if defined other (
    echo   The card works, but not with this package: Windows takes driver version %version% from %inf% for newer.
    echo   To have this one: uninstall.cmd, then install.cmd again.
    call :hints
    exit /b 7
)
if "%status%"=="0" (
    echo   The card works, with driver version %version% from %inf%.
    call :hints
    exit /b 0
)
echo   The card is there, and Windows says: problem code %status%.
set "meaning=see Device Manager"
if "%status%"=="1" set "meaning=no driver is set for it yet"
if "%status%"=="10" set "meaning=the driver was loaded and its start failed; its log says why, see README.txt"
if "%status%"=="14" goto restart
if "%status%"=="22" set "meaning=it is disabled"
if "%status%"=="28" set "meaning=no driver was installed for it"
if "%status%"=="31" set "meaning=Windows could not load the drivers it needs"
if "%status%"=="37" set "meaning=DriverEntry failed"
if "%status%"=="39" set "meaning=the driver's file could not be loaded: damaged, or an import is missing"
if "%status%"=="43" set "meaning=the driver reported a failure"
if "%status%"=="48" set "meaning=this Windows blocks the driver"
if "%status%"=="52" set "meaning=the signature was not accepted; is test signing on, and the certificate trusted"
echo   That means: %meaning%.
if defined other echo   Its driver is not from this package: it has version %version% from %inf%. uninstall.cmd takes it out.
call :log
exit /b 1

:restart
echo   Installed. Restart Windows; the card works after that.
exit /b 5

:hints
echo   The card goes by the host's clock ^("ringwave serve", realtime^): what a program writes too late is silence, and counted.
echo   Sound belongs to the console: Remote Desktop shows its own devices, not this one; a service or remote shell hears nothing.
reg query "HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\CapabilityAccessManager\ConsentStore\microphone" /v Value 2>nul | find /i "Deny" >nul
if not errorlevel 1 (
    echo   The microphone is switched off for programs: Settings, Privacy, Microphone. Until then they record silence.
) else (
    echo   Should programs record silence: Settings, Privacy, Microphone is a switch for each user.
)
exit /b 0

:log
echo   ---- the end of %windir%\inf\setupapi.dev.log
powershell -NoProfile -Command "Get-Content -Tail 40 -LiteralPath (Join-Path $env:windir 'inf\setupapi.dev.log')"
echo   ----
exit /b 0

rem A value of pnputil's list. Its labels are in the user's language, its names are not: a published name
rem comes before its original name.
:driver
set "value="
for /f "tokens=*" %%v in ("%~1") do set "value=%%v"
if not defined value exit /b 0
if /i "%value:~0,3%"=="oem" set "published=%value%"
if /i "%value%"=="ringwave.inf" set "packages=%packages% %published%"
exit /b 0
