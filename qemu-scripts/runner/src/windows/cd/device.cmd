@echo off
rem What is asked of the card's device before the program runs: WINDOWS.md, 7. run.cmd calls it after sound.cmd, whose device it takes.
rem Sets result and text, as that does, and restart, if Windows is to be restarted: why. Not run on Windows.
set "log=%out%\logs\device.log"
set "build=0"
for /f "tokens=3" %%b in ('reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v CurrentBuildNumber 2^>nul') do set "build=%%b"
rem pnputil has had verbs for devices since Windows 10 2004: Microsoft's page "PnPUtil Command Syntax".
set "verbs=1"
if %build% LSS 19041 set "verbs="

if defined VERIFIER call :verifier
if not "%result%"=="0" exit /b
if defined restart exit /b

if defined SUSPEND call :suspend
if not "%result%"=="0" exit /b

set "cycle=0"
if not defined CYCLES exit /b
:next_cycle
if "%cycle%"=="%CYCLES%" exit /b
set /a cycle+=1
set "when=in cycle %cycle% of %CYCLES%"
>COM1 echo RINGWAVE note cycle %cycle% of %CYCLES%
for %%s in (disable enable restart reinstall) do call :step %%s
if not "%result%"=="0" exit /b
goto next_cycle

rem $1 step; the first that fails is the last.
:step
if not "%result%"=="0" exit /b
set "step=%~1"
call :%step%
if not "%result%"=="0" exit /b
if "%step%"=="disable" (call :is_disabled) else call :is_back
exit /b

:disable
if defined verbs (call :pnputil /disable-device "%device%") else call :disable_cmdlet
exit /b

:enable
if defined verbs (call :pnputil /enable-device "%device%") else call :enable_cmdlet
exit /b

:restart
if defined verbs (
    call :pnputil /restart-device "%device%"
    exit /b
)
call :disable_cmdlet
if "%result%"=="0" call :enable_cmdlet
exit /b

:reinstall
if not defined verbs goto by_package
call :pnputil /remove-device "%device%"
if "%result%"=="0" call :pnputil /scan-devices
exit /b
:by_package
rem There is no cmdlet that removes a device. Without its package Windows takes the device's driver away.
set "inf="
for /f %%i in ('powershell -NoProfile -Command "(Get-PnpDeviceProperty -InstanceId '%device%' -KeyName DEVPKEY_Device_DriverInfPath).Data"') do set inf=%%i
if /i not "%inf:~0,3%"=="oem" (
    >COM1 echo RINGWAVE note the driver is Windows' own, so it is not reinstalled: this Windows has no pnputil /remove-device
    exit /b
)
call :pnputil /delete-driver %inf% /uninstall /force
if not "%result%"=="0" exit /b
call :pnputil /add-driver "%home%\driver\ringwave.inf" /install
exit /b

rem $1... arguments of pnputil
:pnputil
pnputil %* >>"%log%" 2>&1
call :ended "pnputil %~1" %errorlevel%
exit /b

:disable_cmdlet
>>"%log%" powershell -NoProfile -Command "try { Disable-PnpDevice -InstanceId '%device%' -Confirm:$false -ErrorAction Stop } catch { $_; exit 1 }"
call :ended Disable-PnpDevice %errorlevel%
exit /b

:enable_cmdlet
>>"%log%" powershell -NoProfile -Command "try { Enable-PnpDevice -InstanceId '%device%' -Confirm:$false -ErrorAction Stop } catch { $_; exit 1 }"
call :ended Enable-PnpDevice %errorlevel%
exit /b

rem $1 program $2 exit code
:ended
if "%~2"=="0" exit /b
set "result=19"
set "text=%~1 ended with %~2, %when%"
exit /b

rem sound.cmd forgets the device if it sees none.
:is_disabled
set "kept=%device%"
call "%here%sound.cmd" 0
set "device=%kept%"
set "result=0"
if "%code%"=="22" exit /b
set "result=19"
set "text=the device was disabled, and has problem code %code%, not 22, %when%"
exit /b

:is_back
set "kept=%device%"
call "%here%sound.cmd"
set "device=%kept%"
if not "%result%"=="0" set "text=%text%, after %step% %when%"
exit /b

rem Microsoft's pages "Driver Verifier Command Syntax" and "Low Resources Simulation". Of our own driver alone: faults in another one could
rem spoil the dump.
:verifier
set "settings=%out%\logs\verifier-settings.txt"
if not "%BOOT%"=="1" goto is_active
rem After a crash the next start, which is for the dump, is without it. From Windows 10 1709 on.
verifier /bootmode resetonunusualshutdown >"%settings%" 2>&1
if "%VERIFIER%"=="low-resources" goto low_resources
rem Doubt: that both may stand on one line is nowhere said. The second way: one after the other.
verifier /standard /domain audio rules.default /driver ringwave.sys >>"%settings%" 2>&1
if "%errorlevel%"=="0" goto is_set
if "%errorlevel%"=="2" goto is_set
call :verifier_takes /standard /driver ringwave.sys
if not "%result%"=="0" exit /b
call :verifier_takes /domain audio rules.default /driver ringwave.sys
if not "%result%"=="0" exit /b
goto is_set
:low_resources
call :verifier_takes /faults 600 "" "" %VERIFIER_DELAY% /driver ringwave.sys
if not "%result%"=="0" exit /b
:is_set
verifier /querysettings >>"%settings%" 2>&1
call :lists "%settings%"
set "restart=for Driver Verifier"
if defined listed exit /b
set "restart="
set "result=20"
set "text=verifier /querysettings does not list ringwave.sys"
exit /b

rem $1... arguments. 2: a restart is needed.
:verifier_takes
verifier %* >>"%settings%" 2>&1
set "code=%errorlevel%"
if "%code%"=="0" exit /b
if "%code%"=="2" exit /b
set "result=20"
set "text=verifier %~1 ended with %code%"
exit /b

rem What is active, and not what was asked for.
:is_active
verifier /query >"%out%\logs\verifier.txt" 2>&1
call :lists "%out%\logs\verifier.txt"
if not defined listed (
    set "result=21"
    set "text=verifier /query does not list ringwave.sys: Driver Verifier is not active"
    exit /b
)
>COM1 echo RINGWAVE note Driver Verifier is active: %VERIFIER%
if not "%VERIFIER%"=="low-resources" exit /b
rem This start is older than its agent, so the minutes are over then.
set /a minutes=VERIFIER_DELAY + 1
>COM1 echo RINGWAVE note allocations fail from %VERIFIER_DELAY% min after the start on; waits %minutes% min
for /l %%n in (1,1,%minutes%) do ping -n 61 127.0.0.1 >nul 2>&1
exit /b

rem Its labels are in the user's language, the driver's name is not. $1 file
:lists
set "listed="
find /i "ringwave.sys" <"%~1" >nul 2>&1
if not errorlevel 1 set "listed=1"
exit /b

rem What powercfg says, and the device to D3 and back. Doubt: the form of its answer, see WINDOWS.md. The name (S3) is in no language.
:suspend
powercfg /a >"%out%\logs\powercfg.txt" 2>&1
set "state="
set "reason="
for /f "usebackq delims=" %%l in ("%out%\logs\powercfg.txt") do call :sleep_state "%%l"
set "found=powercfg /a names no S3"
if defined state set "found=Windows has S3; it is not entered, the device alone sleeps"
if defined reason set "found=no S3 here: %reason%"
rem Delayed, for what Windows' words may have in them.
setlocal EnableDelayedExpansion
>COM1 echo RINGWAVE note !found!
endlocal
set "when=for --suspend"
call :step disable
if not "%result%"=="0" exit /b
ping -n 6 127.0.0.1 >nul 2>&1
call :step enable
exit /b

rem A line of its answer. Behind a state that is missing stands why, further to the right.
:sleep_state
set "line=%~1"
set "bare="
for /f "tokens=*" %%w in ("%~1") do set "bare=%%w"
if not defined bare exit /b
if not "%state%"=="S3" goto next_state
set "state=S3 and more"
if "%bare%"=="%line%" exit /b
rem The next state, four spaces from the left.
if "    %bare%"=="%line%" exit /b
set "reason=%bare%"
exit /b
:next_state
if not "%line:(S3)=%"=="%line%" set "state=S3"
exit /b
