@echo off
rem What is asked of the card's device before the program runs: WINDOWS.md, 7. run.cmd calls it after sound.cmd, whose device it takes.
rem Sets result and text, as that does. Not run on Windows.
set "log=%out%\logs\device.log"
set "build=0"
for /f "tokens=3" %%b in ('reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v CurrentBuildNumber 2^>nul') do set "build=%%b"
rem pnputil has had verbs for devices since Windows 10 2004: Microsoft's page "PnPUtil Command Syntax".
set "verbs=1"
if %build% LSS 19041 set "verbs="

set "cycle=0"
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
